/** How to wait for the worker: soon at first, then less and less often. */

const FIRST_MS = 800;
const GROWTH = 1.4;
const MOST_MS = 10_000;
/** After so long, a person should know that waiting here is not needed. */
export const LONG_WAIT_MS = 45_000;

/** Milliseconds to the next look, after so many looks that found nothing new. */
export function nextLook(looks: number): number {
  return Math.min(MOST_MS, Math.round(FIRST_MS * GROWTH ** looks));
}
