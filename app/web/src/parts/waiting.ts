/** A query that looks again, less and less often, until what it asks for is finished. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Status } from "../api.ts";
import { LONG_WAIT_MS, nextLook } from "../lib/waiting.ts";

export function useUntilFinished<Thing extends { status: Status }>(key: readonly string[], get: (signal: AbortSignal) => Promise<Thing>) {
  const query = useQuery<Thing>({
    queryKey: key,
    queryFn: ({ signal }) => get(signal),
    refetchInterval: ({ state }) => {
      if (state.data && state.data.status !== "queued") return false;
      if (state.status === "error") return false; // the banner and its button take over
      return nextLook(state.dataUpdateCount);
    },
  });
  const waiting = query.data?.status === "queued";
  const [long, setLong] = useState(false);
  useEffect(() => {
    setLong(false);
    if (!waiting) return;
    const timer = setTimeout(() => setLong(true), LONG_WAIT_MS);
    return () => clearTimeout(timer);
  }, [waiting]);
  return { ...query, waiting, long };
}
