import { infiniteQueryOptions } from "@tanstack/react-query";
import { client } from "./client";
import type { operations } from "./schema";

/** What a list of runs can be filtered by. */
export type RunFilter = NonNullable<operations["list_runs"]["parameters"]["query"]>;

/** A list of runs by pages, the latest first. */
export const runPages = (namespace: string, filter: RunFilter) =>
  infiniteQueryOptions({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/runs", { namespace, filter }, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/runs", {
        params: {
          path: { namespace },
          query: { page_size: 50, ...filter, page_token: pageParam || undefined },
        },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
  });
