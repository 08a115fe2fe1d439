/** The one connection to the server, and what of it is kept between pages. */

import { QueryClient } from "@tanstack/react-query";
import { Api, ApiError, AwayError } from "./api.ts";
import * as session from "./session.ts";

export const api = new Api({ token: () => session.current().token, expired: session.ended, reached: session.reached });

const TRIES = 2;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal is an answer, and would be the same again.
      retry: (failures, error) => error instanceof AwayError && failures < TRIES,
      retryDelay: (failure) => Math.min(8_000, 700 * 2 ** failure),
      staleTime: 5_000,
      // The browser's own idea of "offline" knows nothing of this server.
      networkMode: "always",
    },
    mutations: { retry: false, networkMode: "always" },
  },
});

/** What to tell of an error. */
export function told(error: unknown): string {
  if (error instanceof AwayError) return `${error.message} Nothing that you typed is lost: please try again.`;
  if (error instanceof ApiError) return error.message;
  return "Something went wrong on this page. Please try again.";
}

/** A key for one request that may be sent more than once. Not randomUUID: that is missing on plain HTTP. */
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
