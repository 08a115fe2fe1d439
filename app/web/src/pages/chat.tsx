import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { type Chat as ChatShape, type ChatAnswer, type ChatSummary, CHAT_TIMEOUT_MS, type Page } from "../api.ts";
import { api } from "../client.ts";
import { ago } from "../lib/format.ts";
import { PlusIcon, SendIcon } from "../parts/icons.tsx";
import { Loading, Problem, Title } from "../parts/parts.tsx";

/** The API's own limit, in characters. */
const MAX_MESSAGE = 4_000;
const SUGGESTIONS = ["Which of my results are outside their range?", "How has my HbA1c changed?", "What did my latest panel show?"];

interface Line {
  from: "person" | "agent";
  text: string;
  tools: string[];
}

/** Ask the agent about one's own results. */
export function Chat({ id }: { id?: string }) {
  const [, navigate] = useLocation();
  const cache = useQueryClient();
  const [message, setMessage] = useState("");
  const [asked, setAsked] = useState<string | null>(null);
  const end = useRef<HTMLDivElement>(null);
  const chats = useQuery({ queryKey: ["chats"], queryFn: ({ signal }) => api.call<Page<ChatSummary>>("/api/chat", { signal }) });
  const chat = useQuery({
    queryKey: ["chat", id],
    queryFn: ({ signal }) => api.call<ChatShape>(`/api/chat/${encodeURIComponent(id ?? "")}`, { signal }),
    enabled: id !== undefined,
  });
  const asking = useMutation({
    mutationFn: (text: string) => api.call<ChatAnswer>("/api/chat", { method: "POST", body: { message: text, ...(id ? { chat_id: id } : {}) }, timeoutMs: CHAT_TIMEOUT_MS }),
    onMutate: (text) => setAsked(text),
    onSuccess: (answer) =>
      Promise.all([cache.invalidateQueries({ queryKey: ["chats"] }), cache.invalidateQueries({ queryKey: ["chat", answer.chat_id] })]),
    onError: () => setAsked(null),
  });
  function ask(text: string) {
    // What shows the answer is given here and not above: it then ends with the page. A person who went on to another
    // page is not called back from it, nor does one who signs in next see the answer.
    asking.mutate(text, {
      onSuccess: (answer) => {
        setMessage("");
        if (id) {
          setAsked(null);
        } else {
          const messages = [
            { role: "user" as const, content: text, tools: [] },
            { role: "assistant" as const, content: answer.answer, tools: answer.tools },
          ];
          cache.setQueryData<ChatShape>(["chat", answer.chat_id], { id: answer.chat_id, created_at: new Date().toISOString(), messages });
          navigate(`/chat/${answer.chat_id}`);
        }
      },
    });
  }

  const lines = linesOf(chat.data);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "nearest" });
  }, [lines.length, asked]);

  const tooLong = [...message].length > MAX_MESSAGE;
  function submit(event?: FormEvent) {
    event?.preventDefault();
    const text = message.trim();
    if (text && !tooLong && !asking.isPending) ask(text);
  }
  function key(event: KeyboardEvent) {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      submit();
    }
  }

  return (
    <div className="chat">
      <Title
        note="Answers come from your own panels and trends. They are no medical advice."
        {...(id
          ? {
              beside: (
                <Link href="/chat" className="button">
                  <PlusIcon /> New chat
                </Link>
              ),
            }
          : {})}
      >
        Ask about your results
      </Title>
      <div className="chat-columns">
        <section className="card chat-card" aria-label="Conversation">
          <div className="chat-lines" role="log" aria-live="polite">
            {chat.isLoading && <Loading what="the conversation" />}
            {chat.isError && <Problem error={chat.error} retry={() => void chat.refetch()} />}
            {!id && asked === null && (
              <div className="chat-start">
                <p className="quiet">For example:</p>
                {SUGGESTIONS.map((text) => (
                  <button key={text} type="button" className="suggestion" onClick={() => ask(text)}>
                    {text}
                  </button>
                ))}
              </div>
            )}
            {lines.map((line, index) => (
              <ChatLine key={index} line={line} />
            ))}
            {asked !== null && <ChatLine line={{ from: "person", text: asked, tools: [] }} />}
            {asking.isPending && (
              <p className="line line-agent line-thinking">
                <span className="only-read">The agent is looking</span>
                <span className="dots" aria-hidden="true">
                  <i />
                  <i />
                  <i />
                </span>
              </p>
            )}
            {asking.isError && <Problem error={asking.error} />}
            <div ref={end} />
          </div>
          <form className="composer" onSubmit={submit}>
            <textarea aria-label="Your question" rows={1} value={message} placeholder="Ask a question" onChange={(event) => setMessage(event.target.value)} onKeyDown={key} aria-invalid={tooLong || undefined} />
            <button type="submit" className="button button-main button-icon" aria-label="Send" disabled={asking.isPending || message.trim() === "" || tooLong}>
              <SendIcon />
            </button>
            {tooLong && <p className="problem">At most {MAX_MESSAGE} characters.</p>}
          </form>
        </section>
        {(chats.data?.items.length ?? 0) > 0 && (
          <nav className="chat-list" aria-label="Earlier chats">
            <h2>Earlier</h2>
            <ul>
              {chats.data?.items.map((earlier) => (
                <li key={earlier.id}>
                  <Link href={`/chat/${earlier.id}`} title={ago(earlier.created_at)} aria-current={earlier.id === id ? "page" : undefined}>
                    {earlier.title}
                  </Link>
                </li>
              ))}
            </ul>
          </nav>
        )}
      </div>
    </div>
  );
}

function ChatLine({ line }: { line: Line }) {
  return (
    <div className={`line line-${line.from}`}>
      <span className="only-read">{line.from === "person" ? "You: " : "Agent: "}</span>
      <p>{line.text}</p>
      {line.tools.length > 0 && <p className="line-tools">looked at: {[...new Set(line.tools)].map((tool) => tool.replaceAll("_", " ")).join(", ")}</p>}
    </div>
  );
}

function linesOf(chat: ChatShape | undefined): Line[] {
  return (chat?.messages ?? []).map(({ role, content, tools }) => ({ from: role === "user" ? "person" : "agent", text: content, tools }));
}
