import type { ReferenceRange } from "../api.ts";
import { measured, rangeText, standing } from "../lib/format.ts";
import { position } from "../lib/range.ts";
import { ArrowDown, ArrowUp } from "./icons.tsx";

const WORDS = { low: "Low", high: "High", within: "Within range" } as const;

/** Where a result stands to its range: in words, and as a dot on a bar. */
export function RangeBar({ value, unit, range }: { value: number; unit: string; range: ReferenceRange | null | undefined }) {
  const stands = standing(value, range);
  if (!range || stands === null) return <span className="quiet">no range given</span>;
  const place = position(value, range);
  return (
    <span className={`range range-${stands}`} title={`${measured(value, unit)}; range ${rangeText(range)} ${unit}`}>
      <svg viewBox="0 0 100 12" preserveAspectRatio="none" className="range-bar" aria-hidden="true">
        <rect x="0" y="4.5" width="100" height="3" rx="1.5" className="range-all" />
        <rect x={place.from} y="4.5" width={place.to - place.from} height="3" className="range-good" />
      </svg>
      <span className="range-dot" style={{ insetInlineStart: `${place.at}%` }} aria-hidden="true" />
      <span className="range-words">
        {stands === "high" && <ArrowUp />}
        {stands === "low" && <ArrowDown />}
        {WORDS[stands]} <span className="quiet">{rangeText(range)}</span>
      </span>
    </span>
  );
}
