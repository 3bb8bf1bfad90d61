import type { components } from "./schema";

/** The body of every failed answer (RFC 9457). */
export type Problem = components["schemas"]["Problem"];

/** A word for what went wrong: that of the server, or one of two that only a client can know. */
export type ErrorWord = Problem["code"] | "network" | "not_a_problem";

/** A failed request. What a person reads stands in `title` and `detail`; programs look at `code`. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: ErrorWord,
    readonly title: string,
    readonly detail: string,
    readonly traceId: string | undefined,
    readonly retryable: boolean,
    readonly fields: { pointer: string; detail: string }[] = [],
  ) {
    super(detail ? `${title}: ${detail}` : title);
  }
}

/** Reads a failed response, whatever its body is: a proxy in between may answer with a page of its own. */
export async function problemOf(response: Response): Promise<ApiError> {
  const traceId = response.headers.get("X-Request-Id") ?? undefined;
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("json")) {
    try {
      const body = (await response.json()) as Partial<Problem>;
      if (typeof body.code === "string" && typeof body.title === "string") {
        return new ApiError(
          response.status,
          body.code,
          body.title,
          body.detail ?? "",
          body.trace_id ?? traceId,
          body.retryable ?? false,
          body.errors ?? [],
        );
      }
    } catch {
      // Told below as what it is: no problem document.
    }
  }
  return new ApiError(
    response.status,
    "not_a_problem",
    `The server answered ${response.status}${response.statusText ? ` ${response.statusText}` : ""}`,
    "The answer is not one of tstr: something between this page and the API may have given it.",
    traceId,
    response.status >= 500,
  );
}

/** Whether the server has said no: then nothing was done. Of any other failure nobody knows. */
export function isRefused(thrown: unknown): boolean {
  const { status } = asApiError(thrown);
  return status >= 400 && status < 500;
}

/** Makes an error of whatever was thrown, so that a panel can show it. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof TypeError) {
    return new ApiError(
      0,
      "network",
      "The server cannot be reached",
      "The connection failed or was refused. This page goes on trying.",
      undefined,
      true,
    );
  }
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(0, "not_a_problem", "Something went wrong in this page", detail, undefined, false);
}
