import { describe, expect, test } from "vitest";
import type { Period } from "../src/api.ts";
import { type Frame, plot, spread } from "../src/lib/chart.ts";
import { ago, categoryName, measured, quantity, rangeText, standing } from "../src/lib/format.ts";
import { position } from "../src/lib/range.ts";
import { nextLook } from "../src/lib/waiting.ts";

const FRAME: Frame = { width: 480, height: 190, left: 44, right: 16, top: 12, bottom: 28 };
const month = (period: string, mean: number): Period => ({ period, count: 2, mean, minimum: mean - 1, maximum: mean + 1, latest: mean });

describe("a plot", () => {
  test("goes from the left to the right, whatever the order of its months", () => {
    const { points, across } = plot([month("2026-03-01T00:00:00Z", 6), month("2026-01-01T00:00:00Z", 5)], FRAME);
    expect(points.map((point) => Math.round(point.x))).toEqual([44, 464]);
    expect(across.map((tick) => tick.label)).toEqual(["Jan 2026", "Mar 2026"]);
  });

  test("stays within its frame", () => {
    const { points, up } = plot([month("2026-01-01T00:00:00Z", -4), month("2026-02-01T00:00:00Z", 900)], FRAME);
    for (const at of [...points.map((point) => point.y), ...up.map((tick) => tick.at)]) {
      expect(at).toBeGreaterThanOrEqual(FRAME.top);
      expect(at).toBeLessThanOrEqual(FRAME.height - FRAME.bottom);
    }
  });

  test("of one month is a point in the middle of a bar, without a line", () => {
    const { points, mean, band } = plot([month("2026-01-01T00:00:00Z", 5)], FRAME);
    expect(points[0]?.x).toBe(254);
    expect(mean).toBe("");
    const across = Array.from(band.matchAll(/(\d+),/g), (at) => Number(at[1]));
    expect([Math.min(...across), Math.max(...across)]).toEqual([245, 263]);
  });

  test("of one result has a place, though it has no height", () => {
    const { points } = plot([{ ...month("2026-01-01T00:00:00Z", 5), minimum: 5, maximum: 5 }], FRAME);
    expect(Number.isFinite(points[0]?.y)).toBe(true);
  });

  test("goes below zero only where a result does", () => {
    const least = (mean: number) => Number(plot([month("2026-01-01T00:00:00Z", mean)], FRAME).up[0]?.label);
    expect(least(1.1)).toBe(0);
    expect(least(0.5)).toBeLessThan(0);
  });

  test("of many months names a few at equal distances, the last among them", () => {
    expect(spread([1, 2, 3, 4, 5, 6, 7, 8, 9], 5)).toEqual([1, 3, 5, 7, 9]);
    expect(spread([1, 2, 3, 4, 5, 6], 5)).toEqual([2, 4, 6]);
    expect(spread([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 5)).toEqual([3, 6, 9, 12]);
    expect(spread([1, 2], 5)).toEqual([1, 2]);
  });
});

describe("words and numbers", () => {
  test("a result keeps what a laboratory reports, and no more", () => {
    expect([6.1, 0.30000000000000004, 150, 1234.5678].map(quantity)).toEqual(["6.1", "0.3", "150", "1234.57"]);
    expect(quantity(1.5e9)).toBe("1.500e+9");
    expect(measured(7.4, "")).toBe("7.4");
    expect(measured(6.1, "%")).toBe("6.1 %");
  });

  test("a category is told as a person says it", () => {
    expect(categoryName("blood_count")).toBe("Blood count");
    expect(categoryName("unknown")).toBe("Not recognised");
  });

  test("a result stands low, high or within its range, the ends being within", () => {
    const range = { low: 4, high: 5.6 };
    expect([3.9, 4, 5.6, 5.7].map((value) => standing(value, range))).toEqual(["low", "within", "within", "high"]);
    expect(standing(1, null)).toBeNull();
    expect(rangeText({ low: null, high: 3 })).toBe("≤ 3");
  });

  test("times are told by how long ago, up to a week", () => {
    const now = new Date("2026-03-10T12:00:00Z");
    expect(ago("2026-03-10T11:59:40Z", now)).toBe("just now");
    expect(ago("2026-03-10T10:00:00Z", now)).toBe("2 hours ago");
    expect(ago("2026-03-09T11:00:00Z", now)).toBe("yesterday");
    expect(ago("2026-01-09T11:00:00Z", now)).toContain("2026");
  });
});

describe("a bar", () => {
  test("has the range in its middle half, and what is far outside at its edge", () => {
    expect(position(5, { low: 4, high: 6 })).toEqual({ from: 25, to: 75, at: 50 });
    expect(position(500, { low: 4, high: 6 }).at).toBe(97);
    expect(position(-500, { low: 4, high: 6 }).at).toBe(3);
  });

  test("with one end open shows on which side the result is", () => {
    expect(position(3.4, { low: null, high: 3 }).at).toBeGreaterThan(67);
    expect(position(20, { low: 30, high: null }).at).toBeLessThan(33);
  });
});

test("looks for an answer become rarer, up to a limit", () => {
  const waits = Array.from({ length: 12 }, (_, looks) => nextLook(looks));
  expect(waits[0]).toBeLessThan(1_000);
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(waits.at(-1)).toBe(10_000);
});
