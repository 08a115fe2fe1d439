import { Link } from "wouter";
import type { Panel as PanelShape, Test } from "../api.ts";
import { api } from "../client.ts";
import { plural, quantity, when } from "../lib/format.ts";
import { BackIcon } from "../parts/icons.tsx";
import { CategoryChip, Confidence, Loading, Problem, Progress, StatusBadge, Title } from "../parts/parts.tsx";
import { RangeBar } from "../parts/range-bar.tsx";
import { useUntilFinished } from "../parts/waiting.ts";

const STEPS = ["Received", "Being categorised", "Categorised"] as const;

/** A panel, watched until the worker is done with it. */
export function Panel({ id }: { id: string }) {
  const { data: panel, error, isPending, refetch, waiting, long } = useUntilFinished<PanelShape>(["panel", id], (signal) => api.call(`/api/labs/${encodeURIComponent(id)}`, { signal }));
  return (
    <>
      <Link href="/panels" className="back">
        <BackIcon /> Panels
      </Link>
      <Title
        {...(panel ? { beside: <StatusBadge status={panel.status} done="Categorised" />, note: `${plural(panel.tests.length, "test")}, received ${when(panel.created_at)}` } : {})}
      >
        {panel?.patient_reference ?? "Panel"}
      </Title>
      {isPending && <Loading what="the panel" />}
      {error && !panel && <Problem error={error} retry={() => void refetch()} />}
      {panel && (
        <>
          <div aria-live="polite">
            {waiting && (
              <div className="card watch">
                <Progress steps={STEPS} at={1} />
                <p className="quiet">
                  {long
                    ? "This takes longer than usual. The panel is safe in the queue: you may leave this page, and come back."
                    : "The worker looks at each test. This page shows its answer as soon as it is there."}
                </p>
              </div>
            )}
            {panel.status === "done" && <p className="only-read">Categorised.</p>}
          </div>
          {panel.status === "failed" && (
            <div className="notice notice-bad" role="alert">
              <p>
                <strong>This panel could not be categorised.</strong> {panel.reason} The results themselves are kept.
              </p>
            </div>
          )}
          <TestTable panel={panel} />
        </>
      )}
    </>
  );
}

function TestTable({ panel }: { panel: PanelShape }) {
  return (
    <div className="card table-card">
      <table className="tests">
        <thead>
          <tr>
            <th scope="col">Test</th>
            <th scope="col" className="number">
              Result
            </th>
            <th scope="col">Reference range</th>
            <th scope="col">Category</th>
            <th scope="col">Confidence</th>
          </tr>
        </thead>
        <tbody>
          {panel.tests.map((test, index) => (
            <tr key={index}>
              <th scope="row">{test.name}</th>
              <td className="number" data-label="Result">
                <span className="result">{quantity(test.value)}</span> <span className="unit">{test.unit}</span>
              </td>
              <td data-label="Range">
                <RangeBar value={test.value} unit={test.unit} range={test.reference_range} />
              </td>
              <Answer test={test} waiting={panel.status === "queued"} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Answer({ test, waiting }: { test: Test; waiting: boolean }) {
  if (test.category === null) {
    return (
      <td colSpan={2} data-label="Category">
        {waiting ? <span className="ghost">waiting for the worker</span> : <span className="quiet">none</span>}
      </td>
    );
  }
  return (
    <>
      <td data-label="Category">
        <CategoryChip category={test.category} />
      </td>
      <td data-label="Confidence">{test.confidence === null ? <span className="quiet">unknown</span> : <Confidence value={test.confidence} />}</td>
    </>
  );
}
