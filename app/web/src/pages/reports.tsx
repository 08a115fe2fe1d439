import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import type { Page, ReportHead } from "../api.ts";
import { api } from "../client.ts";
import { ago, when } from "../lib/format.ts";
import { PlusIcon } from "../parts/icons.tsx";
import { Empty, Loading, More, Problem, StatusBadge, Title } from "../parts/parts.tsx";

const PAGE = 20;

/** All reports of this person, the newest first. */
export function Reports() {
  const reports = useInfiniteQuery({
    queryKey: ["reports"],
    queryFn: ({ pageParam, signal }) =>
      api.call<Page<ReportHead>>(`/api/reports?limit=${PAGE}${pageParam ? `&cursor=${encodeURIComponent(pageParam)}` : ""}`, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = reports.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Title
        beside={
          <Link href="/reports/new" className="button button-main">
            <PlusIcon /> New report
          </Link>
        }
      >
        Reports
      </Title>
      {reports.isPending && <Loading what="your reports" />}
      {reports.isError && <Problem error={reports.error} retry={() => void reports.refetch()} />}
      {reports.isSuccess && items.length === 0 && (
        <Empty title="No reports yet">
          <p>Put in the text of a doctor's letter or a laboratory's comment, and see which tests it speaks of.</p>
          <Link href="/reports/new" className="button button-main">
            Enter your first report
          </Link>
        </Empty>
      )}
      {items.length > 0 && (
        <ul className="list card">
          {items.map((report) => (
            <li key={report.id}>
              <Link href={`/reports/${report.id}`} className="entry">
                <span className="entry-main">
                  <span className="entry-name">{report.patient_reference}</span>
                  <span className="quiet" title={when(report.created_at)}>
                    {ago(report.created_at)}
                  </span>
                </span>
                <span className="entry-text quiet">{report.reason}</span>
                <StatusBadge status={report.status} done="Read" />
              </Link>
            </li>
          ))}
        </ul>
      )}
      <More has={reports.hasNextPage} busy={reports.isFetchingNextPage} more={() => void reports.fetchNextPage()} />
    </>
  );
}
