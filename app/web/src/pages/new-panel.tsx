import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ClipboardEvent, type FormEvent, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import type { Accepted, NewPanel as Panel } from "../api.ts";
import { api, newIdempotencyKey } from "../client.ts";
import { checkPanel, exampleRows, type Field, FIELDS, isBlank, MAX_TESTS, newRow, parsePasted, type Problems, type Row } from "../lib/panel-form.ts";
import { BackIcon, CrossIcon, PlusIcon } from "../parts/icons.tsx";
import { Problem, TextField, Title } from "../parts/parts.tsx";

const NONE: Problems = { rows: new Map() };
const LABELS: Record<Field, string> = { name: "Test", value: "Result", unit: "Unit", low: "Range from", high: "to" };
const HINTS: Record<Field, string> = { name: "HbA1c", value: "6.1", unit: "%", low: "4.0", high: "5.6" };
const UNITS = ["%", "g/dL", "g/L", "mg/dL", "mg/L", "mmol/L", "µmol/L", "nmol/L", "pmol/L", "ng/mL", "pg/mL", "µg/L", "U/L", "IU/L", "mIU/L", "10^9/L", "10^12/L", "fL", "mL/min/1.73m²", "mm/h", "s"];

/** Enter the results of a laboratory. */
export function NewPanel() {
  const [, navigate] = useLocation();
  const cache = useQueryClient();
  const [reference, setReference] = useState("");
  const [rows, setRows] = useState<Row[]>(() => [newRow(), newRow(), newRow()]);
  const [problems, setProblems] = useState<Problems>(NONE);
  const form = useRef<HTMLFormElement>(null);
  const focusNext = useRef<string | null>(null);
  // The same key for the same panel: sent twice, for an answer that got lost, it is stored once.
  const key = useRef({ key: newIdempotencyKey(), of: "" });

  const sending = useMutation({
    mutationFn: (panel: Panel) => {
      const text = JSON.stringify(panel);
      if (key.current.of !== text) key.current = { key: newIdempotencyKey(), of: text };
      return api.call<Accepted>("/api/labs", { method: "POST", body: panel, idempotencyKey: key.current.key });
    },
    onSuccess: ({ id }) => {
      void cache.invalidateQueries({ queryKey: ["panels"] });
      navigate(`/panels/${id}`);
    },
  });

  useEffect(() => {
    if (focusNext.current === null) return;
    form.current?.querySelector<HTMLInputElement>(`[data-cell="${focusNext.current}"]`)?.focus();
    focusNext.current = null;
  });

  const unsaved = !sending.isSuccess && (reference.trim() !== "" || rows.some((row) => !isBlank(row)));
  useEffect(() => {
    if (!unsaved) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [unsaved]);

  function change(changed: Row, field: Field, text: string) {
    setRows(rows.map((row) => (row.key === changed.key ? { ...row, [field]: text } : row)));
    const found = problems.rows.get(changed.key);
    if (found?.[field]) {
      const { [field]: _mended, ...others } = found;
      setProblems({ ...problems, rows: new Map(problems.rows).set(changed.key, others) });
    }
  }

  function add() {
    if (rows.length >= MAX_TESTS) return;
    const row = newRow();
    focusNext.current = `${row.key}-name`;
    setRows([...rows, row]);
  }

  function remove(gone: Row) {
    const index = rows.indexOf(gone);
    const left = rows.filter((row) => row.key !== gone.key);
    const kept = left.length > 0 ? left : [newRow()];
    focusNext.current = `${kept[Math.min(index, kept.length - 1)]?.key}-name`;
    setRows(kept);
  }

  function paste(event: ClipboardEvent<HTMLInputElement>, at: Row) {
    const pasted = parsePasted(event.clipboardData.getData("text"));
    if (!pasted) return;
    event.preventDefault();
    const index = rows.indexOf(at);
    const others = rows.slice(index + 1).filter((row) => !isBlank(row));
    setRows([...rows.slice(0, index), ...(isBlank(at) ? [] : [at]), ...pasted, ...others].slice(0, MAX_TESTS));
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    const { problems: found, panel } = checkPanel(reference, rows);
    setProblems(found);
    if (panel) {
      sending.mutate(panel);
      return;
    }
    const wrong = rows.flatMap((row) => FIELDS.filter((field) => found.rows.get(row.key)?.[field]).map((field) => `${row.key}-${field}`))[0];
    if (found.reference) form.current?.querySelector<HTMLInputElement>('[name="reference"]')?.focus();
    else focusNext.current = wrong ?? `${rows[0]?.key}-name`;
  }

  const wrongRows = [...problems.rows.values()].filter((found) => Object.keys(found).length > 0).length;
  return (
    <>
      <Link href="/panels" className="back">
        <BackIcon /> Panels
      </Link>
      <Title note="As the laboratory wrote it: units are kept, nothing is converted.">New panel</Title>
      {sending.isError && <Problem error={sending.error} />}
      <form ref={form} onSubmit={submit} noValidate className="card form">
        <div className="form-head">
          <TextField label="Patient reference" name="reference" autoComplete="off" placeholder="patient-17" value={reference} onChange={(event) => setReference(event.target.value)} problem={problems.reference} hint="Your own reference for the patient, not a name." />
        </div>
        <fieldset className="rows">
          <legend>Tests</legend>
          <div className="rows-head" aria-hidden="true">
            {FIELDS.map((field) => (
              <span key={field}>{LABELS[field]}</span>
            ))}
          </div>
          <ol>
            {rows.map((row, index) => (
              <RowFields key={row.key} row={row} number={index + 1} problems={problems.rows.get(row.key) ?? {}} change={change} remove={remove} paste={paste} />
            ))}
          </ol>
          <datalist id="units">
            {UNITS.map((unit) => (
              <option key={unit} value={unit} />
            ))}
          </datalist>
          <div className="rows-foot">
            <button type="button" className="button" onClick={add} disabled={rows.length >= MAX_TESTS}>
              <PlusIcon /> Add a test
            </button>
            {rows.every(isBlank) && (
              <button
                type="button"
                className="button button-quiet"
                onClick={() => {
                  setRows(exampleRows());
                  if (!reference) setReference("patient-17");
                  setProblems(NONE);
                }}
              >
                Fill in an example
              </button>
            )}
            <span className="hint">Rows can be pasted from a spreadsheet: test, result, unit, from, to.</span>
          </div>
        </fieldset>
        <div className="form-end">
          <p className="problem" role="alert">
            {problems.panel ?? (wrongRows > 0 ? `${wrongRows === 1 ? "One row needs" : `${wrongRows} rows need`} another look.` : "")}
          </p>
          <button type="submit" className="button button-main" disabled={sending.isPending}>
            {sending.isPending ? "Sending…" : "Send panel"}
          </button>
        </div>
      </form>
    </>
  );
}

interface RowProps {
  row: Row;
  number: number;
  problems: Partial<Record<Field, string>>;
  change: (row: Row, field: Field, text: string) => void;
  remove: (row: Row) => void;
  paste: (event: ClipboardEvent<HTMLInputElement>, row: Row) => void;
}

function RowFields({ row, number, problems, change, remove, paste }: RowProps) {
  const wrong = FIELDS.filter((field) => problems[field]);
  return (
    <li className="row">
      <span className="row-number" aria-hidden="true">
        {number}
      </span>
      {FIELDS.map((field) => (
        <label key={field} className={`cell cell-${field}`}>
          <span className="cell-label">{LABELS[field]}</span>
          <input
            data-cell={`${row.key}-${field}`}
            aria-label={`${field === "high" ? "Range to" : LABELS[field]}, test ${number}`}
            aria-invalid={problems[field] ? true : undefined}
            aria-describedby={problems[field] ? `problem-${row.key}-${field}` : undefined}
            value={row[field]}
            placeholder={number === 1 ? HINTS[field] : ""}
            inputMode={field === "name" || field === "unit" ? "text" : "decimal"}
            autoComplete="off"
            list={field === "unit" ? "units" : undefined}
            spellCheck={false}
            onChange={(event) => change(row, field, event.target.value)}
            onPaste={(event) => paste(event, row)}
          />
        </label>
      ))}
      <button type="button" className="button button-icon" aria-label={`Remove test ${number}`} onClick={() => remove(row)}>
        <CrossIcon />
      </button>
      {wrong.length > 0 && (
        <div className="row-problems">
          {wrong.map((field) => (
            <p key={field} id={`problem-${row.key}-${field}`} className="problem">
              <strong>{field === "high" ? "Range to" : LABELS[field]}:</strong> {problems[field]}
            </p>
          ))}
        </div>
      )}
    </li>
  );
}
