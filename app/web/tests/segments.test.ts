import { expect, test } from "vitest";
import type { Entity } from "../src/api.ts";
import { cut } from "../src/lib/segments.ts";

function entity(starts_at: number, ends_at: number, found = ""): Entity {
  return { starts_at, ends_at, found, category: "diabetes", confidence: 0.9, value: null, unit: null };
}

const pieces = (body: string, entities: Entity[]) => cut(body, entities).map(({ text, entity }) => (entity ? `[${text}]` : text));

test("a text with finds is cut around them, and its pieces make it up again", () => {
  const body = "HbA1c is 6.1 %, TSH normal.";
  expect(pieces(body, [entity(16, 19), entity(0, 5)])).toEqual(["[HbA1c]", " is 6.1 %, ", "[TSH]", " normal."]);
});

test("places count characters as the server does, not halves of them", () => {
  expect(pieces("🧪 HbA1c 𝛽", [entity(2, 7)])).toEqual(["🧪 ", "[HbA1c]", " 𝛽"]);
});

test("of two that overlap the longer is shown", () => {
  expect(pieces("LDL cholesterol", [entity(0, 3), entity(0, 15)])).toEqual(["[LDL cholesterol]"]);
});

test("one that lies outside the text is left out", () => {
  expect(pieces("TSH", [entity(-1, 2), entity(2, 9), entity(3, 3)])).toEqual(["TSH"]);
});

test("no text has no pieces", () => expect(cut("", [])).toEqual([]));
