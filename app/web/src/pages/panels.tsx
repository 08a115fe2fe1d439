import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import type { Page, PanelHead } from "../api.ts";
import { api } from "../client.ts";
import { ago, plural, when } from "../lib/format.ts";
import { PlusIcon } from "../parts/icons.tsx";
import { CategoryChip, Empty, Loading, More, Problem, StatusBadge, Title } from "../parts/parts.tsx";

const PAGE = 20;
const LOOK_MS = 4_000;
const CHIPS = 3;

/** All panels of this person, the newest first. */
export function Panels() {
  const panels = useInfiniteQuery({
    queryKey: ["panels"],
    queryFn: ({ pageParam, signal }) =>
      api.call<Page<PanelHead>>(`/api/labs?limit=${PAGE}${pageParam ? `&cursor=${encodeURIComponent(pageParam)}` : ""}`, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    // While one waits for the worker, the list is worth looking at again.
    refetchInterval: ({ state }) => (state.status === "success" && state.data?.pages.some((page) => page.items.some((panel) => panel.status === "queued")) ? LOOK_MS : false),
  });
  const items = panels.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Title
        beside={
          <Link href="/panels/new" className="button button-main">
            <PlusIcon /> New panel
          </Link>
        }
      >
        Panels
      </Title>
      {panels.isPending && <Loading what="your panels" />}
      {panels.isError && <Problem error={panels.error} retry={() => void panels.refetch()} />}
      {panels.isSuccess && items.length === 0 && (
        <Empty title="No panels yet">
          <p>Enter the results of a laboratory, and see each test put into its category.</p>
          <Link href="/panels/new" className="button button-main">
            Enter your first panel
          </Link>
        </Empty>
      )}
      {items.length > 0 && (
        <ul className="list card">
          {items.map((panel) => (
            <li key={panel.id}>
              <Link href={`/panels/${panel.id}`} className="entry">
                <span className="entry-main">
                  <span className="entry-name">{panel.patient_reference}</span>
                  <span className="quiet" title={when(panel.created_at)}>
                    {plural(panel.test_count, "test")} · {ago(panel.created_at)}
                    <Outside panel={panel} />
                  </span>
                </span>
                <Categories panel={panel} />
                <StatusBadge status={panel.status} done="Categorised" />
              </Link>
            </li>
          ))}
        </ul>
      )}
      <More has={panels.hasNextPage} busy={panels.isFetchingNextPage} more={() => void panels.fetchNextPage()} />
    </>
  );
}

function Outside({ panel }: { panel: PanelHead }) {
  return panel.out_of_range > 0 ? <span className="entry-outside"> · {panel.out_of_range} outside range</span> : null;
}

function Categories({ panel: { categories } }: { panel: PanelHead }) {
  return (
    <span className="entry-chips">
      {categories.slice(0, CHIPS).map((category) => (
        <CategoryChip key={category} category={category} />
      ))}
      {categories.length > CHIPS && <span className="quiet">+{categories.length - CHIPS}</span>}
    </span>
  );
}
