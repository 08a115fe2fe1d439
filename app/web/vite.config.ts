import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Under this, a compressed copy saves less than the headers that announce it. */
const WORTH_COMPRESSING_BYTES = 1024;

/** Compressed copies beside the assets, for Caddy to serve as they are: made once, at the level that is too slow for
 * each request. Their bytes depend on the assets alone. */
function precompressed(): Plugin {
  return {
    name: "slipway-precompressed",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      for (const output of Object.values(bundle)) {
        const source = Buffer.from(output.type === "chunk" ? output.code : output.source);
        if (!/\.(js|css|svg|json)$/.test(output.fileName) || source.length < WORTH_COMPRESSING_BYTES) continue;
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: source.length };
        this.emitFile({ type: "asset", fileName: `${output.fileName}.br`, source: brotliCompressSync(source, { params }) });
        this.emitFile({ type: "asset", fileName: `${output.fileName}.gz`, source: gzipSync(source, { level: 9 }) });
      }
    },
  };
}

/** The routes of the edge (images/web/Caddyfile), for the development server. */
function upstream(variable: string, fallback: string, prefix: string) {
  return {
    target: `http://${process.env[variable] ?? fallback}`,
    rewrite: (path: string) => path.slice(prefix.length) || "/",
  };
}

const proxy = {
  "/api": upstream("API_UPSTREAM", "127.0.0.1:8000", "/api"),
  "/auth": upstream("AUTH_UPSTREAM", "127.0.0.1:8002", "/auth"),
  "/dashboard": upstream("DASHBOARD_UPSTREAM", "127.0.0.1:8001", ""),
};

export default defineConfig({
  plugins: [react(), precompressed()],
  server: { host: "127.0.0.1", port: 8080, strictPort: true, proxy },
  preview: { host: "127.0.0.1", port: 8080, strictPort: true, proxy },
  build: {
    target: "baseline-widely-available",
    // Nothing inlined: the content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
