import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { queries } from "./client.ts";
import { Safe } from "./parts/safe.tsx";
import "./styles.css";

// A part of this page that is not there any more: another release has taken its place. The page of that one, once.
window.addEventListener("vite:preloadError", (event) => {
  if (sessionStorage.getItem("slipway.renewed") === location.href) return;
  sessionStorage.setItem("slipway.renewed", location.href);
  event.preventDefault();
  location.reload();
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Safe>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </Safe>
  </StrictMode>,
);
