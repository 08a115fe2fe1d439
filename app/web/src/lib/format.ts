/** What the page says, in words and numbers. */

import type { ReferenceRange } from "../api.ts";

const LOCALE = "en-GB";
const WHEN = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const MONTH = new Intl.DateTimeFormat(LOCALE, { month: "short", year: "numeric", timeZone: "UTC" });
const RELATIVE = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });
const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

export function when(iso: string): string {
  return WHEN.format(new Date(iso));
}

/** "2 hours ago", up to a week; then the date. */
export function ago(iso: string, now: Date = new Date()): string {
  const seconds = (now.getTime() - new Date(iso).getTime()) / 1000;
  if (seconds > 7 * 86_400) return when(iso);
  for (const [unit, length] of STEPS) {
    if (seconds >= length) return RELATIVE.format(-Math.floor(seconds / length), unit);
  }
  return "just now";
}

export function month(iso: string): string {
  return MONTH.format(new Date(iso));
}

/** A result: six digits are more than any laboratory reports. */
export function quantity(value: number): string {
  return Math.abs(value) >= 1e7 || (value !== 0 && Math.abs(value) < 1e-4)
    ? value.toExponential(3)
    : String(Number(value.toPrecision(6)));
}

export function measured(value: number, unit: string | null): string {
  return unit ? `${quantity(value)} ${unit}` : quantity(value);
}

export function percent(confidence: number): string {
  return `${Math.round(confidence * 100)} %`;
}

export const UNKNOWN = "unknown";

/** A category as a person reads it: `blood_count` is "Blood count". */
export function categoryName(category: string): string {
  if (category === UNKNOWN) return "Not recognised";
  const words = category.replaceAll("_", " ");
  return `${words[0]?.toUpperCase() ?? ""}${words.slice(1)}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function rangeText(range: ReferenceRange | null | undefined): string {
  if (!range) return "";
  if (range.low !== null && range.high !== null) return `${quantity(range.low)} – ${quantity(range.high)}`;
  if (range.low !== null) return `≥ ${quantity(range.low)}`;
  return range.high === null ? "" : `≤ ${quantity(range.high)}`;
}

export type Standing = "low" | "high" | "within" | null;

/** Where a result stands to its range; null without one. */
export function standing(value: number, range: ReferenceRange | null | undefined): Standing {
  if (!range || (range.low === null && range.high === null)) return null;
  if (range.low !== null && value < range.low) return "low";
  if (range.high !== null && value > range.high) return "high";
  return "within";
}
