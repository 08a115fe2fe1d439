/** A panel as a person types it, and what it becomes. The API's own limits, so that most mistakes are told at once. */

import type { NewPanel, NewTest } from "../api.ts";

export const MAX_TESTS = 100;
export const MAX_NAME = 200;
export const MAX_UNIT = 32;
export const MAX_REFERENCE = 128;

/** A row of the form: text, as typed. */
export interface Row {
  key: number;
  name: string;
  value: string;
  unit: string;
  low: string;
  high: string;
}

export type Field = "name" | "value" | "unit" | "low" | "high";
export const FIELDS: readonly Field[] = ["name", "value", "unit", "low", "high"];

export interface Problems {
  reference?: string;
  /** About the panel as a whole. */
  panel?: string;
  /** By the row's key. */
  rows: Map<number, Partial<Record<Field, string>>>;
}

let nextKey = 1;

/** A row with a key of its own. */
export function newRow(values: Partial<Record<Field, string>> = {}): Row {
  return { key: nextKey++, name: "", value: "", unit: "", low: "", high: "", ...values };
}

export function isBlank(row: Row): boolean {
  return FIELDS.every((field) => row[field].trim() === "");
}

/** A number as a laboratory writes it, or a sentence that says why it is none. */
export function parseNumber(text: string): number | string {
  const trimmed = text.trim().replace(/^[+]/, "").replace("\u2212", "-");
  if (/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(trimmed)) {
    const value = Number(trimmed);
    return Number.isFinite(value) ? value : "This number is too large.";
  }
  if (/^[<>≤≥]/.test(trimmed)) return "A plain number, please: a result such as “<0.5” cannot be averaged.";
  if (/^-?[\d.]*,[\d,.]*$/.test(trimmed)) return "Write decimals with a point and no thousands separators, as in 1250.5.";
  return "This is not a number, such as 6.1.";
}

/** What is wrong, and the panel where nothing is. Rows that are wholly blank count as not there. */
export function checkPanel(reference: string, rows: readonly Row[]): { problems: Problems; panel: NewPanel | null } {
  const problems: Problems = { rows: new Map() };
  const trimmed = reference.trim();
  if (!trimmed) problems.reference = "Say whose panel this is: a reference, not a name.";
  else if ([...trimmed].length > MAX_REFERENCE) problems.reference = `At most ${MAX_REFERENCE} characters.`;
  const filled = rows.filter((row) => !isBlank(row));
  if (filled.length === 0) problems.panel = "Enter at least one test.";
  if (filled.length > MAX_TESTS) problems.panel = `A panel holds at most ${MAX_TESTS} tests; this one has ${filled.length}.`;
  const tests: NewTest[] = [];
  for (const row of filled) {
    const { found, test } = checkRow(row);
    if (Object.keys(found).length > 0) problems.rows.set(row.key, found);
    else if (test) tests.push(test);
  }
  const good = !problems.reference && !problems.panel && problems.rows.size === 0;
  return { problems, panel: good ? { patient_reference: trimmed, tests } : null };
}

function checkRow(row: Row): { found: Partial<Record<Field, string>>; test: NewTest | null } {
  const found: Partial<Record<Field, string>> = {};
  const name = row.name.trim();
  const unit = row.unit.trim();
  if (!name) found.name = "Which test is this?";
  else if ([...name].length > MAX_NAME) found.name = `At most ${MAX_NAME} characters.`;
  if ([...unit].length > MAX_UNIT) found.unit = `At most ${MAX_UNIT} characters.`;
  const value = row.value.trim() ? parseNumber(row.value) : "Enter the result.";
  if (typeof value === "string") found.value = value;
  const low = row.low.trim() ? parseNumber(row.low) : null;
  const high = row.high.trim() ? parseNumber(row.high) : null;
  if (typeof low === "string") found.low = low;
  if (typeof high === "string") found.high = high;
  if (typeof low === "number" && typeof high === "number" && low > high) {
    found.high = `The upper end must not be below the lower, ${row.low.trim()}.`;
  }
  if (Object.keys(found).length > 0 || typeof value === "string") return { found, test: null };
  const range = { low: typeof low === "number" ? low : null, high: typeof high === "number" ? high : null };
  const bounded = range.low !== null || range.high !== null;
  return { found, test: { name, value, unit, ...(bounded ? { reference_range: range } : {}) } };
}

/** Rows pasted from a spreadsheet: name, value, unit, low, high, with tabs between. Null where it is not that. */
export function parsePasted(text: string): Row[] | null {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (!lines.some((line) => line.includes("\t"))) return null;
  return lines.slice(0, MAX_TESTS).map((line) => {
    const [name = "", value = "", unit = "", low = "", high = ""] = line.split("\t").map((cell) => cell.trim());
    const range = /^(-?[\d.]+)\s*(?:-|–|to)\s*(-?[\d.]+)$/.exec(low);
    return newRow({ name, value, unit, low: range?.[1] ?? low, high: range?.[2] ?? high });
  });
}

/** For whoever looks around: results as a laboratory might send them. */
export function exampleRows(): Row[] {
  return [
    newRow({ name: "HbA1c", value: "6.1", unit: "%", low: "4.0", high: "5.6" }),
    newRow({ name: "LDL cholesterol", value: "3.4", unit: "mmol/L", high: "3.0" }),
    newRow({ name: "Creatinine", value: "78", unit: "µmol/L", low: "45", high: "84" }),
    newRow({ name: "TSH", value: "2.1", unit: "mIU/L", low: "0.4", high: "4.0" }),
    newRow({ name: "Ferritin", value: "18", unit: "µg/L", low: "30", high: "300" }),
  ];
}
