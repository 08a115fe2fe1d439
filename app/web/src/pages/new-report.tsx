import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import type { Accepted } from "../api.ts";
import { api, newIdempotencyKey } from "../client.ts";
import { MAX_REFERENCE } from "../lib/panel-form.ts";
import { BackIcon } from "../parts/icons.tsx";
import { Problem, TextField, Title } from "../parts/parts.tsx";

/** The API's own limit, in characters (code points). */
const MAX_BODY = 20_000;
const COUNT = new Intl.NumberFormat("en-GB");

/** Enter the text of a report. */
export function NewReport() {
  const [, navigate] = useLocation();
  const cache = useQueryClient();
  const [reference, setReference] = useState("");
  const [body, setBody] = useState("");
  const [problems, setProblems] = useState<{ reference?: string; body?: string }>({});
  const form = useRef<HTMLFormElement>(null);
  const key = useRef({ key: newIdempotencyKey(), of: "" });
  const length = [...body].length;

  const sending = useMutation({
    mutationFn: (report: { patient_reference: string; body: string }) => {
      const text = JSON.stringify(report);
      if (key.current.of !== text) key.current = { key: newIdempotencyKey(), of: text };
      return api.call<Accepted>("/api/reports", { method: "POST", body: report, idempotencyKey: key.current.key });
    },
    onSuccess: ({ id }) => {
      void cache.invalidateQueries({ queryKey: ["reports"] });
      navigate(`/reports/${id}`);
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    const trimmed = reference.trim();
    const found = {
      ...(trimmed === "" ? { reference: "Say whose report this is: a reference, not a name." } : [...trimmed].length > MAX_REFERENCE ? { reference: `At most ${MAX_REFERENCE} characters.` } : {}),
      ...(body.trim() === "" ? { body: "Enter the text of the report." } : length > MAX_BODY ? { body: `At most ${COUNT.format(MAX_BODY)} characters: take out what is not about results.` } : {}),
    };
    setProblems(found);
    const wrong = found.reference ? "reference" : found.body ? "body" : null;
    if (wrong) form.current?.querySelector<HTMLElement>(`[name="${wrong}"]`)?.focus();
    else sending.mutate({ patient_reference: trimmed, body });
  }

  return (
    <>
      <Link href="/reports" className="back">
        <BackIcon /> Reports
      </Link>
      <Title note="A doctor's letter, or a laboratory's comment. The tests that it speaks of are found in it.">New report</Title>
      {sending.isError && <Problem error={sending.error} />}
      <form ref={form} onSubmit={submit} noValidate className="card form">
        <div className="form-head">
          <TextField label="Patient reference" name="reference" autoComplete="off" placeholder="patient-17" value={reference} onChange={(event) => setReference(event.target.value)} problem={problems.reference} hint="Your own reference for the patient, not a name." />
        </div>
        <div className="field">
          <label htmlFor="body">Text of the report</label>
          <textarea id="body" name="body" rows={12} value={body} onChange={(event) => setBody(event.target.value)} aria-invalid={problems.body ? true : undefined} aria-describedby={problems.body ? "body-problem body-count" : "body-count"} placeholder="HbA1c of 6.1 % points to prediabetes; LDL cholesterol is 3.4 mmol/L. TSH was normal." />
          <p id="body-count" className={length > MAX_BODY ? "problem" : "hint"}>
            {COUNT.format(length)} of {COUNT.format(MAX_BODY)} characters
          </p>
          {problems.body && (
            <p id="body-problem" className="problem">
              {problems.body}
            </p>
          )}
        </div>
        <div className="form-end">
          <span />
          <button type="submit" className="button button-main" disabled={sending.isPending}>
            {sending.isPending ? "Sending…" : "Send report"}
          </button>
        </div>
      </form>
    </>
  );
}
