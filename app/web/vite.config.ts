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

/** A route of the edge (product.yaml), for the development server: `make dev` gives them in ROUTES. */
interface Route {
  path: string;
  target: string;
  strip: boolean;
}

const routes = JSON.parse(process.env.ROUTES ?? "[]") as Route[];
const proxy = Object.fromEntries(
  routes.map(({ path, target, strip }) => [
    path,
    { target, rewrite: (asked: string) => (strip ? asked.slice(path.length) || "/" : asked) },
  ]),
);

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
