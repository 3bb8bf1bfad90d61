import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// In development the server stands elsewhere. A token given here is added by the proxy, in development only: a
// production server never adds a credential of its own (SECURITY S-28).
const server = process.env.TSTR_SERVER ?? "http://127.0.0.1:9090";
const token = process.env.TSTR_DEV_TOKEN;
const proxied = {
  target: server,
  changeOrigin: true,
  // Sessions are refused to other origins, and for the API this server would be one.
  headers: { Origin: server, ...(token ? { Authorization: `Bearer ${token}` } : {}) },
};

export default defineConfig({
  // Everything is referenced relatively, so one build works under any base path that the server writes into <base>.
  base: "./",
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2022",
    sourcemap: false,
    // An asset that became a data: URL would need an exception in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  worker: { format: "es" },
  server: {
    port: 8001,
    proxy: { "/api": proxied, "/version": proxied, "/docs": proxied },
  },
  test: {
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "http://tstr.test/" } },
    setupFiles: ["src/test/setup.ts"],
    testTimeout: 15_000,
    include: ["src/**/*.test.{ts,tsx}"],
  },
});
