import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import type { Trend } from "../api.ts";
import { api } from "../client.ts";
import { type Frame, plot } from "../lib/chart.ts";
import { categoryName, measured, month, plural, quantity } from "../lib/format.ts";
import { CategoryChip, Empty, Loading, Problem, Title } from "../parts/parts.tsx";

const FRAME: Frame = { width: 480, height: 190, left: 50, right: 16, top: 12, bottom: 30 };

/** How each test goes from month to month. */
export function Trends() {
  const category = new URLSearchParams(useSearch()).get("category") ?? "";
  const [, navigate] = useLocation();
  const trends = useQuery({
    queryKey: ["trends"],
    queryFn: ({ signal }) => api.call<{ items: Trend[] }>("/api/trends", { signal }),
  });
  const items = trends.data?.items ?? [];
  const categories = [...new Set(items.flatMap((trend) => (trend.category ? [trend.category] : [])))].toSorted();
  const shown = items.filter((trend) => category === "" || trend.category === category);
  return (
    <>
      <Title note="Each test by month: the line is the mean, the band goes from the least to the greatest result.">Trends</Title>
      {trends.isPending && <Loading what="your trends" />}
      {trends.isError && <Problem error={trends.error} retry={() => void trends.refetch()} />}
      {trends.isSuccess && items.length === 0 && (
        <Empty title="No trends yet">
          <p>They are worked out from your panels, shortly after each is categorised.</p>
          <Link href="/panels/new" className="button button-main">
            Enter a panel
          </Link>
        </Empty>
      )}
      {categories.length > 1 && (
        <div className="filters" role="group" aria-label="Category">
          {["", ...categories].map((name) => (
            <button key={name} type="button" className="filter" aria-pressed={name === category} onClick={() => navigate(name ? `/trends?category=${encodeURIComponent(name)}` : "/trends", { replace: true })}>
              {name ? categoryName(name) : "All"}
            </button>
          ))}
        </div>
      )}
      <div className="trends">
        {shown.map((trend) => (
          <TrendCard key={`${trend.test_name} ${trend.unit}`} trend={trend} />
        ))}
      </div>
    </>
  );
}

function TrendCard({ trend }: { trend: Trend }) {
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  const latest = trend.periods.toSorted((a, b) => a.period.localeCompare(b.period)).at(-1);
  return (
    <article className="card trend" aria-labelledby={id}>
      <header>
        <div>
          <h2 id={id}>{trend.test_name}</h2>
          {trend.category && <CategoryChip category={trend.category} />}
        </div>
        {latest && (
          <p className="trend-latest">
            <span className="result">{quantity(latest.latest)}</span> <span className="unit">{trend.unit}</span>
            <span className="quiet">latest, {month(latest.period)}</span>
          </p>
        )}
      </header>
      {asTable ? <TrendTable trend={trend} /> : <TrendPlot trend={trend} />}
      <footer>
        <span className="quiet">
          {plural(
            trend.periods.reduce((sum, period) => sum + period.count, 0),
            "result",
          )}{" "}
          in {plural(trend.periods.length, "month")}
        </span>
        <button type="button" className="button button-quiet button-small" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          {asTable ? "Show as a plot" : "Show as a table"}
        </button>
      </footer>
    </article>
  );
}

function TrendPlot({ trend }: { trend: Trend }) {
  const { band, mean, points, across, up } = plot(trend.periods, FRAME);
  const first = points[0]?.period;
  const last = points.at(-1)?.period;
  const words = first && last ? `${trend.test_name}, mean by month: ${measured(first.mean, trend.unit)} in ${month(first.period)}, ${measured(last.mean, trend.unit)} in ${month(last.period)}.` : "";
  return (
    <svg className="plot" viewBox={`0 0 ${FRAME.width} ${FRAME.height}`} role="img" aria-label={words}>
      {up.map((tick) => (
        <g key={tick.label}>
          <line x1={FRAME.left} x2={FRAME.width - FRAME.right} y1={tick.at} y2={tick.at} className="plot-grid" />
          <text x={FRAME.left - 8} y={tick.at} dy="0.32em" textAnchor="end" className="plot-label">
            {tick.label}
          </text>
        </g>
      ))}
      {across.map((tick, index) => (
        <text key={tick.at} x={tick.at} y={FRAME.height - 8} textAnchor={tick.at <= FRAME.left ? "start" : index === across.length - 1 && across.length > 1 ? "end" : "middle"} className="plot-label">
          {tick.label}
        </text>
      ))}
      <path d={band} className="plot-band" />
      <path d={mean} className="plot-mean" />
      {points.map(({ x, y, period }) => (
        <g key={period.period} className="plot-point">
          <circle cx={x} cy={y} r="3.6" />
          <circle cx={x} cy={y} r="12" className="plot-target">
            <title>{`${month(period.period)}: ${measured(period.mean, trend.unit)} on average, from ${quantity(period.minimum)} to ${quantity(period.maximum)}, of ${plural(period.count, "result")}`}</title>
          </circle>
        </g>
      ))}
    </svg>
  );
}

function TrendTable({ trend }: { trend: Trend }) {
  return (
    <div className="trend-table">
      <table>
        <thead>
          <tr>
            <th scope="col">Month</th>
            <th scope="col">Mean</th>
            <th scope="col">Least</th>
            <th scope="col">Greatest</th>
            <th scope="col">Results</th>
          </tr>
        </thead>
        <tbody>
          {trend.periods.map((period) => (
            <tr key={period.period}>
              <th scope="row">{month(period.period)}</th>
              <td>{quantity(period.mean)}</td>
              <td>{quantity(period.minimum)}</td>
              <td>{quantity(period.maximum)}</td>
              <td>{period.count}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
