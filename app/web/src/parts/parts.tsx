/** The small parts that pages are made of. */

import { type ReactNode, useEffect, useId, useRef } from "react";
import type { Status } from "../api.ts";
import { told } from "../client.ts";
import { categoryName, percent, UNKNOWN } from "../lib/format.ts";

/** The heading of a page. It takes the focus, so that a new page is announced. */
export function Title({ children, beside, note }: { children: string; beside?: ReactNode; note?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${children} · Slipway`;
    heading.current?.focus({ preventScroll: true });
  }, [children]);
  return (
    <header className="title">
      <div>
        <h1 ref={heading} tabIndex={-1}>
          {children}
        </h1>
        {note && <p className="quiet">{note}</p>}
      </div>
      {beside && <div className="title-beside">{beside}</div>}
    </header>
  );
}

export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div className="notice notice-bad" role="alert">
      <p>{told(error)}</p>
      {retry && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p className="loading quiet" role="status">
      <span className="spinner" aria-hidden="true" /> Loading {what}
    </p>
  );
}

const STATUS_WORDS: Record<Status, string> = { queued: "In the queue", done: "Done", failed: "Failed" };

export function StatusBadge({ status, done = "Done" }: { status: Status; done?: string }) {
  return (
    <span className={`badge badge-${status}`}>
      <span className="badge-dot" aria-hidden="true" />
      {status === "done" ? done : STATUS_WORDS[status]}
    </span>
  );
}

export function CategoryChip({ category }: { category: string }) {
  return <span className={category === UNKNOWN ? "chip chip-unknown" : "chip"}>{categoryName(category)}</span>;
}

export function Confidence({ value }: { value: number }) {
  return (
    <span className="confidence">
      <svg viewBox="0 0 56 6" className="confidence-bar" aria-hidden="true">
        <rect width="56" height="6" rx="3" className="confidence-all" />
        <rect width={Math.max(6, 56 * value)} height="6" rx="3" className="confidence-part" />
      </svg>
      <span>{percent(value)}</span>
    </span>
  );
}

/** A labelled input, with what is wrong said below it and to screen readers. */
export function TextField({
  label,
  problem,
  hint,
  ...input
}: { label: string; problem?: string | undefined; hint?: string } & React.InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  const described = [problem ? `${id}-problem` : "", hint ? `${id}-hint` : ""].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-invalid={problem ? true : undefined} aria-describedby={described || undefined} {...input} />
      {hint && !problem && (
        <p id={`${id}-hint`} className="hint">
          {hint}
        </p>
      )}
      {problem && (
        <p id={`${id}-problem`} className="problem">
          {problem}
        </p>
      )}
    </div>
  );
}

export function More({ has, busy, more }: { has: boolean; busy: boolean; more: () => void }) {
  if (!has) return null;
  return (
    <div className="more">
      <button type="button" className="button" onClick={more} disabled={busy}>
        {busy ? "Loading…" : "Show more"}
      </button>
    </div>
  );
}

/** What is under way, said aloud when it changes. */
export function Progress({ steps, at }: { steps: readonly string[]; at: number }) {
  return (
    <ol className="steps" aria-label="Progress">
      {steps.map((step, index) => (
        <li key={step} className={index < at ? "step step-past" : index === at ? "step step-now" : "step"} aria-current={index === at ? "step" : undefined}>
          <span className="step-dot" aria-hidden="true" />
          {step}
        </li>
      ))}
    </ol>
  );
}
