/** The geometry of a trend: months across, results up. */

import { scaleLinear, scaleUtc } from "d3-scale";
import { area, line, curveMonotoneX } from "d3-shape";
import type { Period } from "../api.ts";
import { month, quantity } from "./format.ts";

/** Months named below a plot: more would touch each other. */
const MOST_LABELS = 5;
const HALF_A_BAR = 9;

export interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Tick {
  at: number;
  label: string;
}

export interface Point {
  x: number;
  y: number;
  period: Period;
}

export interface Plot {
  /** From the least to the greatest of each month. */
  band: string;
  /** Through the means. */
  mean: string;
  points: Point[];
  across: Tick[];
  up: Tick[];
}

/** The paths, points and ticks of a trend within a frame. A single month is a bar in the middle. */
export function plot(periods: readonly Period[], frame: Frame): Plot {
  const sorted = periods.toSorted((a, b) => a.period.localeCompare(b.period));
  const times = sorted.map((period) => new Date(period.period));
  const first = times[0] ?? new Date(0);
  const last = times.at(-1) ?? first;
  const single = sorted.length < 2;
  const x = scaleUtc()
    .domain(single ? [first.getTime() - 1, first.getTime() + 1] : [first, last])
    .range([frame.left, frame.width - frame.right]);
  const least = Math.min(...sorted.map((period) => period.minimum));
  const most = Math.max(...sorted.map((period) => period.maximum));
  const air = (most - least || Math.abs(most) || 1) * 0.12;
  const y = scaleLinear()
    // Below zero only where a result is.
    .domain([least < 0 ? least - air : Math.max(0, least - air), most + air])
    .nice(4)
    .range([frame.height - frame.bottom, frame.top]);
  const points = sorted.map((period, index) => ({ x: x(times[index] ?? first), y: y(period.mean), period }));
  const band = area<Point>()
    .x((point) => point.x)
    .y0((point) => y(point.period.minimum))
    .y1((point) => y(point.period.maximum))
    .curve(curveMonotoneX);
  const mean = line<Point>()
    .x((point) => point.x)
    .y((point) => point.y)
    .curve(curveMonotoneX);
  // The edges of a single month's bar, for the band has no width at one point.
  const edges = points.flatMap((point) => [-1, 1].map((side) => ({ ...point, x: point.x + side * HALF_A_BAR })));
  return {
    band: band(single ? edges : points) ?? "",
    mean: single ? "" : (mean(points) ?? ""),
    points,
    across: spread(points, MOST_LABELS).map((point) => ({ at: point.x, label: month(point.period.period) })),
    up: y.ticks(4).map((value) => ({ at: y(value), label: quantity(value) })),
  };
}

/** At most so many of a list, at equal distances, the last among them. */
export function spread<Item>(items: readonly Item[], most: number): Item[] {
  const step = Math.ceil(items.length / most);
  return items.filter((_, index) => (items.length - 1 - index) % step === 0);
}
