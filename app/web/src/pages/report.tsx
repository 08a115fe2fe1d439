import { useState } from "react";
import { Link } from "wouter";
import type { Entity, Report as ReportShape } from "../api.ts";
import { api } from "../client.ts";
import { categoryName, measured, percent, plural, when } from "../lib/format.ts";
import { cut } from "../lib/segments.ts";
import { BackIcon } from "../parts/icons.tsx";
import { CategoryChip, Confidence, Loading, Problem, Progress, StatusBadge, Title } from "../parts/parts.tsx";
import { useUntilFinished } from "../parts/waiting.ts";

const STEPS = ["Received", "Being read", "Read"] as const;

/** A report with what was found in it, watched until the worker is done with it. */
export function Report({ id }: { id: string }) {
  const { data: report, error, isPending, refetch, waiting, long } = useUntilFinished<ReportShape>(["report", id], (signal) => api.call(`/api/reports/${encodeURIComponent(id)}`, { signal }));
  return (
    <>
      <Link href="/reports" className="back">
        <BackIcon /> Reports
      </Link>
      <Title {...(report ? { beside: <StatusBadge status={report.status} done="Read" />, note: `Received ${when(report.created_at)}` } : {})}>{report?.patient_reference ?? "Report"}</Title>
      {isPending && <Loading what="the report" />}
      {error && !report && <Problem error={error} retry={() => void refetch()} />}
      {report && (
        <>
          <div aria-live="polite">
            {waiting && (
              <div className="card watch">
                <Progress steps={STEPS} at={1} />
                <p className="quiet">{long ? "This takes longer than usual. The report is safe in the queue: you may leave this page, and come back." : "The worker looks for tests and their results in the text."}</p>
              </div>
            )}
            {report.status === "done" && <p className="only-read">{plural(report.entities.length, "find")}.</p>}
          </div>
          {report.status === "failed" && (
            <div className="notice notice-bad" role="alert">
              <p>
                <strong>This report could not be read.</strong> {report.reason} Its text is kept.
              </p>
            </div>
          )}
          <Found report={report} />
        </>
      )}
    </>
  );
}

function Found({ report }: { report: ReportShape }) {
  const [chosen, choose] = useState<Entity | null>(null);
  return (
    <div className="reading">
      <section className="card" aria-label="Text of the report">
        <p className="report-text">
          {cut(report.body, report.entities).map(({ text, entity }, index) =>
            entity ? (
              <mark key={index} className={entity === chosen ? "found found-chosen" : "found"} title={`${categoryName(entity.category)}, ${percent(entity.confidence)}`} onPointerEnter={() => choose(entity)} onPointerLeave={() => choose(null)}>
                {text}
                <span className="only-read"> ({categoryName(entity.category)})</span>
              </mark>
            ) : (
              text
            ),
          )}
        </p>
      </section>
      {report.status === "done" && (
        <section className="card finds" aria-labelledby="finds">
          <h2 id="finds">{report.entities.length === 0 ? "Nothing was found" : plural(report.entities.length, "find")}</h2>
          {report.entities.length === 0 && <p className="quiet">No test that the worker knows is named in this text.</p>}
          <ul>
            {report.entities.map((entity) => (
              <li key={`${entity.starts_at}-${entity.ends_at}`} className={entity === chosen ? "find find-chosen" : "find"} onPointerEnter={() => choose(entity)} onPointerLeave={() => choose(null)}>
                <span className="find-name">{entity.found}</span>
                <span className="find-value">{entity.value === null ? "" : measured(entity.value, entity.unit)}</span>
                <CategoryChip category={entity.category} />
                <Confidence value={entity.confidence} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
