import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useSearch } from "wouter";
import type { Account, SignedIn } from "../api.ts";
import { api } from "../client.ts";
import { Mark } from "../parts/icons.tsx";
import { Problem, TextField, Title } from "../parts/parts.tsx";
import { signedIn, useSession } from "../session.ts";

/** As the auth service has it. */
const LEAST_PASSWORD = 12;

interface Problems {
  email?: string;
  password?: string;
}

function check(email: string, password: string, creating: boolean): Problems {
  return {
    ...(/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email.trim()) ? {} : { email: "Enter an e-mail address, such as you@example.com." }),
    ...(creating && [...password].length < LEAST_PASSWORD ? { password: `At least ${LEAST_PASSWORD} characters, please.` } : {}),
    ...(password === "" ? { password: creating ? "Choose a password." : "Enter your password." } : {}),
  };
}

/** Sign in, or sign up and be signed in. */
export function SignIn({ creating = false }: { creating?: boolean }) {
  const { expired } = useSession();
  const search = useSearch();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [problems, setProblems] = useState<Problems>({});
  const entering = useMutation({
    mutationFn: async () => {
      const body = { email: email.trim(), password };
      if (creating) await api.call<Account>("/auth/sign-up", { method: "POST", body, anonymous: true });
      return api.call<SignedIn>("/auth/sign-in", { method: "POST", body, anonymous: true });
    },
    onSuccess: ({ token }) => signedIn(token),
  });

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const found = check(email, password, creating);
    setProblems(found);
    const wrong = found.email ? "email" : found.password ? "password" : null;
    if (wrong) (event.currentTarget.elements.namedItem(wrong) as HTMLInputElement).focus();
    else entering.mutate();
  }

  const other = `${creating ? "/sign-in" : "/sign-up"}${search ? `?${search}` : ""}`;
  return (
    <main className="door">
      <section className="door-welcome" aria-label="About Slipway">
        <p className="brand brand-large">
          <Mark /> Slipway
        </p>
        <p className="door-line">Lab results, sorted and followed.</p>
        <ul className="door-points">
          <li>Enter a panel as the laboratory wrote it. Units stay as they are.</li>
          <li>Each test is put into its category, with how sure that is.</li>
          <li>See what changes from month to month, and ask about it.</li>
        </ul>
      </section>
      <section className="card door-card">
        <Title>{creating ? "Create an account" : "Sign in"}</Title>
        {expired && !creating && !entering.isError && (
          <p className="notice" role="status">
            Your session has ended. Sign in again to go on where you were.
          </p>
        )}
        {entering.isError && <Problem error={entering.error} />}
        <form onSubmit={submit} noValidate>
          <TextField label="E-mail" name="email" type="email" autoComplete="username" inputMode="email" spellCheck={false} value={email} onChange={(event) => setEmail(event.target.value)} problem={problems.email} />
          <TextField
            label="Password"
            name="password"
            type="password"
            autoComplete={creating ? "new-password" : "current-password"}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
            problem={problems.password}
            {...(creating ? { hint: "At least 12 characters: a few words in a row are good." } : {})}
          />
          <button type="submit" className="button button-main button-wide" disabled={entering.isPending}>
            {entering.isPending ? "One moment…" : creating ? "Create account" : "Sign in"}
          </button>
        </form>
        <p className="door-other quiet">
          {creating ? "You have an account? " : "You are new here? "}
          <Link href={other}>{creating ? "Sign in" : "Create an account"}</Link>
        </p>
      </section>
    </main>
  );
}
