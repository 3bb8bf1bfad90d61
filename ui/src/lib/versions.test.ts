import { expect, test } from "vitest";
import { sameConfig, versionAt } from "./versions";

const config = {
  container_image: "image:1",
  timeout: "600s",
  grace: "10s",
  resources: { memory: "512MiB", cpus: 1, pids: 256 },
  network: "none",
  pull: "missing",
} as const;

test("a run has the version that its test had when it was made", () => {
  const versions = [
    { version: 9, changed_at: "2026-03-03T00:00:00Z" },
    { version: 8, changed_at: "2026-03-02T00:00:00Z" },
    { version: 7, changed_at: "2026-03-01T00:00:00Z" },
  ];
  expect(versionAt(versions, "2026-03-02T12:00:00Z")).toBe(8);
  expect(versionAt(versions, "2026-03-02T00:00:00.000Z")).toBe(8);
  expect(versionAt(versions, "2026-04-01T00:00:00Z")).toBe(9);
  expect(versionAt(versions, "2026-02-01T00:00:00Z")).toBeUndefined();
});

test("configurations are the same in any order of their keys, and with any environment", () => {
  const { container_image, ...rest } = config;
  expect(sameConfig(config, { ...rest, container_image, env: { A: "1" } })).toBe(true);
  expect(sameConfig(config, { ...config, resources: { pids: 256, cpus: 1, memory: "512MiB" } })).toBe(true);
  expect(sameConfig(config, { ...config, args: ["x"] })).toBe(false);
});
