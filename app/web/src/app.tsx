/** The frame around every page: where it is, who is signed in, and whether the server is there. */

import { useIsFetching, useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import type { Account } from "./api.ts";
import { api, queries } from "./client.ts";
import { Chat } from "./pages/chat.tsx";
import { NewPanel } from "./pages/new-panel.tsx";
import { NewReport } from "./pages/new-report.tsx";
import { Panel } from "./pages/panel.tsx";
import { Panels } from "./pages/panels.tsx";
import { Report } from "./pages/report.tsx";
import { Reports } from "./pages/reports.tsx";
import { SignIn } from "./pages/sign-in.tsx";
import { Trends } from "./pages/trends.tsx";
import { ChatIcon, Mark, PanelsIcon, ReportsIcon, TrendsIcon } from "./parts/icons.tsx";
import { Empty, Title } from "./parts/parts.tsx";
import { signedOut, useSession } from "./session.ts";

const SECTIONS = [
  { path: "/panels", name: "Panels", icon: <PanelsIcon /> },
  { path: "/reports", name: "Reports", icon: <ReportsIcon /> },
  { path: "/trends", name: "Trends", icon: <TrendsIcon /> },
  { path: "/chat", name: "Ask", icon: <ChatIcon /> },
];

export function App() {
  const { token } = useSession();
  return (
    <>
      <Away />
      {token === null ? <Outside /> : <Inside />}
    </>
  );
}

function Outside() {
  const [path] = useLocation();
  useEffect(() => queries.clear(), []); // nothing of the last person stays for the next
  return (
    <Switch>
      <Route path="/sign-up">
        <SignIn creating />
      </Route>
      <Route path="/sign-in">
        <SignIn />
      </Route>
      <Route>
        <Redirect to={path === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(path)}`} replace />
      </Route>
    </Switch>
  );
}

function Inside() {
  const [path] = useLocation();
  const { data: account } = useQuery({
    queryKey: ["me"],
    queryFn: ({ signal }) => api.call<Account>("/auth/me", { signal }),
    staleTime: 300_000,
  });
  // In braces: a browser's scrolling gives a promise, which is no effect's end.
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [path]);
  return (
    <div className="frame">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="bar">
        <Link href="/panels" className="brand">
          <Mark /> Slipway
        </Link>
        <nav aria-label="Sections" className="sections">
          {SECTIONS.map((section) => (
            <Link key={section.path} href={section.path} className="section" aria-current={path.startsWith(section.path) ? "page" : undefined}>
              {section.icon}
              <span>{section.name}</span>
            </Link>
          ))}
        </nav>
        <div className="who">
          {account?.role === "operator" && (
            <a className="who-dashboard" href="/dashboard">
              Dashboard
            </a>
          )}
          {account && <span className="who-email">{account.email}</span>}
          <SignOut />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Switch>
          <Route path="/panels" component={Panels} />
          <Route path="/panels/new" component={NewPanel} />
          <Route path="/panels/:id">{({ id }) => <Panel id={id} />}</Route>
          <Route path="/reports" component={Reports} />
          <Route path="/reports/new" component={NewReport} />
          <Route path="/reports/:id">{({ id }) => <Report id={id} />}</Route>
          <Route path="/trends" component={Trends} />
          <Route path="/chat">
            <Chat />
          </Route>
          <Route path="/chat/:id">{({ id }) => <Chat id={id} key={id} />}</Route>
          <Route path="/sign-in">
            <Arrived />
          </Route>
          <Route path="/sign-up">
            <Arrived />
          </Route>
          <Route path="/">
            <Redirect to="/panels" replace />
          </Route>
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </main>
    </div>
  );
}

/** Where a person who has just signed in was on the way to. Only a path of this site. */
function Arrived() {
  const next = new URLSearchParams(window.location.search).get("next") ?? "";
  return <Redirect to={/^\/(?![/\\])/.test(next) ? next : "/panels"} replace />;
}

function SignOut() {
  return (
    <button
      type="button"
      className="button button-quiet"
      onClick={() => {
        // At once here, whatever the server says: the token is forgotten, and revoked where it can be.
        const revoked = api.call("/auth/sign-out", { method: "POST" }).catch(() => undefined);
        queueMicrotask(signedOut);
        void revoked;
      }}
    >
      Sign out
    </button>
  );
}

function NotFound(): ReactNode {
  return (
    <>
      <Title>Not found</Title>
      <Empty title="There is no such page">
        <p>
          The address may be mistyped. <Link href="/panels">Go to your panels.</Link>
        </p>
      </Empty>
    </>
  );
}

/** Shown while the server is away. */
function Away() {
  const { reached } = useSession();
  const busy = useIsFetching() > 0;
  if (reached) return null;
  return (
    <div className="away" role="alert">
      <p>
        <strong>The server cannot be reached at the moment.</strong> What you typed is kept on this page.
      </p>
      <button type="button" className="button" disabled={busy} onClick={() => void knock()}>
        {busy ? "Trying…" : "Try again"}
      </button>
    </div>
  );
}

async function knock(): Promise<void> {
  await api.call("/api/health", { anonymous: true }).catch(() => undefined);
  await queries.refetchQueries({ type: "active" });
}
