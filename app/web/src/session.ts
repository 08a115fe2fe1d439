/** Who is signed in, in this tab alone: the token is gone with the tab, as it should be on a shared computer. */

import { useSyncExternalStore } from "react";

const KEY = "slipway.token";

export interface Session {
  token: string | null;
  /** Whether it ended by itself, for the sign-in page to say so. */
  expired: boolean;
  /** Whether the server answered when it was last asked. */
  reached: boolean;
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // a browser that keeps nothing: signed in until the page is left
  }
}

function keep(token: string | null): void {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

let session: Session = { token: stored(), expired: false, reached: true };
const listeners = new Set<() => void>();

function set(change: Partial<Session>): void {
  const next = { ...session, ...change };
  if (next.token === session.token && next.expired === session.expired && next.reached === session.reached) return;
  session = next;
  for (const listener of listeners) listener();
}

export const current = (): Session => session;

export function signedIn(token: string): void {
  keep(token);
  set({ token, expired: false });
}

export function signedOut(): void {
  keep(null);
  set({ token: null, expired: false });
}

/** The server no longer takes the token. */
export function ended(): void {
  if (session.token === null) return;
  keep(null);
  set({ token: null, expired: true });
}

export function reached(there: boolean): void {
  set({ reached: there });
}

export function useSession(): Session {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, current);
}
