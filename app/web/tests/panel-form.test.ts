import { describe, expect, test } from "vitest";
import { checkPanel, MAX_TESTS, newRow, parseNumber, parsePasted } from "../src/lib/panel-form.ts";

const hba1c = () => newRow({ name: " HbA1c ", value: "6.1", unit: "%", low: "4.0", high: "5.6" });

describe("a number", () => {
  test.each([
    ["6.1", 6.1],
    [" 6. ", 6],
    [".5", 0.5],
    ["-2.5", -2.5],
    ["−2.5", -2.5],
    ["+3", 3],
    ["1e3", 1000],
    ["0", 0],
  ])("%s is read as a laboratory means it", (text, value) => expect(parseNumber(text)).toBe(value));

  test.each([
    ["6,1", "point"],
    ["1,250.5", "thousands"],
    ["<0.5", "plain number"],
    ["≥ 90", "plain number"],
    ["negative", "not a number"],
    ["6.1 %", "not a number"],
    ["0x10", "not a number"],
    ["Infinity", "not a number"],
    ["1e999", "too large"],
  ])("%s is refused with a sentence", (text, word) => expect(parseNumber(text)).toContain(word));
});

describe("a panel", () => {
  test("becomes what the API takes, with its units as they were typed", () => {
    const { panel, problems } = checkPanel(" patient-17 ", [hba1c(), newRow({ name: "pH", value: "7.38" }), newRow()]);
    expect(problems.rows.size).toBe(0);
    expect(panel).toEqual({
      patient_reference: "patient-17",
      tests: [
        { name: "HbA1c", value: 6.1, unit: "%", reference_range: { low: 4, high: 5.6 } },
        { name: "pH", value: 7.38, unit: "" },
      ],
    });
  });

  test("may have a range that is open at one end", () => {
    const { panel } = checkPanel("p", [newRow({ name: "LDL", value: "3.4", unit: "mmol/L", high: "3.0" })]);
    expect(panel?.tests[0]?.reference_range).toEqual({ low: null, high: 3 });
  });

  test("without a reference or a test says both", () => {
    const { panel, problems } = checkPanel("  ", [newRow(), newRow()]);
    expect(panel).toBeNull();
    expect(problems.reference).toContain("reference");
    expect(problems.panel).toContain("at least one");
  });

  test("with mistakes tells each at its place", () => {
    const row = newRow({ value: "6,1", unit: "x".repeat(33), low: "5", high: "4" });
    const { panel, problems } = checkPanel("p", [hba1c(), row]);
    expect(panel).toBeNull();
    expect([...problems.rows.keys()]).toEqual([row.key]);
    expect(Object.keys(problems.rows.get(row.key) ?? {}).sort()).toEqual(["high", "name", "unit", "value"]);
  });

  test("with more tests than the API takes is refused as a whole", () => {
    expect(checkPanel("p", Array.from({ length: MAX_TESTS + 1 }, hba1c)).problems.panel).toContain("101");
  });
});

describe("what is pasted", () => {
  test("from a spreadsheet becomes rows", () => {
    const rows = parsePasted("HbA1c\t6.1\t%\t4.0\t5.6\r\nTSH\t2.1\tmIU/L\n");
    expect(rows?.map(({ name, value, unit, low, high }) => [name, value, unit, low, high])).toEqual([
      ["HbA1c", "6.1", "%", "4.0", "5.6"],
      ["TSH", "2.1", "mIU/L", "", ""],
    ]);
  });

  test("with a range in one cell is taken apart", () => {
    expect(parsePasted("HbA1c\t6.1\t%\t4.0 - 5.6")?.[0]).toMatchObject({ low: "4.0", high: "5.6" });
  });

  test("as an ordinary word stays one", () => expect(parsePasted("LDL cholesterol")).toBeNull());
});
