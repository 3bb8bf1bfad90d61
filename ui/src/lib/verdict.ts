import type { Schema } from "~/api/client";

const SIGNALS: Record<number, string> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};

/** A sentence for each reason that the server knows; the server's own message, which has the details, comes with it. */
const REASONS: Record<Schema["Reason"], string> = {
  image_not_found: "the image was not found",
  start_failed: "the container could not be started",
  policy_rejected: "a policy of the runner refused it",
  oom_killed: "killed: it used more memory than its limit",
  runtime_lost: "the container engine lost it",
  worker_crash: "its runner crashed",
  disk_full: "its runner had no room left on its disk",
  lost_worker: "its runner was not heard of any more",
  never_started: "its runner never started it",
  server_backstop: "the server ended it, since its runner did not",
  queue_expired: "no runner took it before its queue deadline",
  report_invalid: "its test report is missing or not whole",
};

/** How an attempt or a run ended, in words: `exit code 137 (SIGKILL)`, `killed: it used more memory than its limit`. */
export function endWords(
  end: Pick<Schema["Run"], "result" | "reason" | "exit_code" | "message">,
  limits?: { memory?: string; timeout?: string },
): string {
  const parts: string[] = [];
  if (end.reason) {
    parts.push(
      end.reason === "oom_killed" && limits?.memory
        ? `killed: memory limit ${limits.memory}`
        : (REASONS[end.reason] ?? end.reason),
    );
  } else if (end.result === "timed_out") {
    parts.push(`killed: it ran longer than its timeout${limits?.timeout ? ` of ${limits.timeout}` : ""}`);
  }
  if (end.exit_code !== undefined && !(end.exit_code === 0 && parts.length === 0 && end.result === "pass")) {
    const signal = SIGNALS[end.exit_code - 128];
    parts.push(`exit code ${end.exit_code}${signal ? ` (${signal})` : ""}`);
  }
  return parts.join(", ");
}
