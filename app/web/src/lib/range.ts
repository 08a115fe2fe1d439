/** Where a result and its range lie on a bar from 0 to 100. */

import type { ReferenceRange } from "../api.ts";

/** Of the bar that a closed range takes; the rest is for what lies outside. */
const INSIDE = 50;
const EDGE = 3;

export interface Place {
  from: number;
  to: number;
  at: number;
}

export function position(value: number, range: ReferenceRange): Place {
  const { low, high } = range;
  if (low !== null && high !== null) {
    const from = (100 - INSIDE) / 2;
    const width = high - low || Math.abs(high) || 1;
    return { from, to: from + INSIDE, at: held(from + ((value - low) / width) * INSIDE) };
  }
  // With one end open, the end stands at a third or two thirds, and the scale is its own size.
  const end = low ?? high ?? 0;
  const scale = Math.abs(end) || 1;
  const mark = low !== null ? 33 : 67;
  const at = held(mark + ((value - end) / scale) * 33);
  return low !== null ? { from: mark, to: 100, at } : { from: 0, to: mark, at };
}

function held(at: number): number {
  return Math.min(100 - EDGE, Math.max(EDGE, at));
}
