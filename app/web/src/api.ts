/** The HTTP API as this page uses it: the shapes that it takes and gives, and one way to call it. */

export type Status = "queued" | "done" | "failed";

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export interface Account {
  user_id: string;
  email: string;
  role: "user" | "operator";
}

export interface SignedIn {
  token: string;
  expires_at: string;
}

/** In the test's own unit. One end may be open. */
export interface ReferenceRange {
  low: number | null;
  high: number | null;
}

export interface NewTest {
  name: string;
  value: number;
  unit: string;
  reference_range?: ReferenceRange;
}

export interface NewPanel {
  patient_reference: string;
  tests: NewTest[];
}

export interface Test extends Omit<NewTest, "reference_range"> {
  reference_range?: ReferenceRange | null;
  /** Null until the worker is done. */
  category: string | null;
  /** From 0 to 1. */
  confidence: number | null;
}

export interface Accepted {
  id: string;
  status: Status;
}

/** A panel as it stands in a list: its tests are counted. */
export interface PanelHead {
  id: string;
  patient_reference: string;
  status: Status;
  reason: string | null;
  created_at: string;
  finished_at: string | null;
  test_count: number;
  out_of_range: number;
  categories: string[];
}

export interface Panel {
  id: string;
  patient_reference: string;
  status: Status;
  reason: string | null;
  created_at: string;
  finished_at: string | null;
  tests: Test[];
}

/** What was found in a report. Places count the characters of the report's body (code points, not UTF-16 units). */
export interface Entity {
  starts_at: number;
  ends_at: number;
  found: string;
  category: string;
  confidence: number;
  value: number | null;
  unit: string | null;
}

/** A report as it stands in a list. */
export interface ReportHead {
  id: string;
  patient_reference: string;
  status: Status;
  reason: string | null;
  created_at: string;
  finished_at: string | null;
}

export interface Report extends ReportHead {
  body: string;
  /** Empty until the worker is done. */
  entities: Entity[];
}

/** A month of a test's results. */
export interface Period {
  period: string;
  count: number;
  mean: number;
  minimum: number;
  maximum: number;
  latest: number;
}

export interface Trend {
  test_name: string;
  unit: string;
  category: string | null;
  periods: Period[];
}

export interface ChatAnswer {
  chat_id: string;
  answer: string;
  /** Names of the tools that the agent used for the answer. */
  tools: string[];
}

/** A chat in a list: `title` is the beginning of its first question. */
export interface ChatSummary {
  id: string;
  created_at: string;
  title: string;
}

/** Something said, with the tools that an answer is based on. */
export interface ChatMessage {
  role: "user" | "assistant";
  content: string;
  tools: string[];
}

export interface Chat {
  id: string;
  created_at: string;
  messages: ChatMessage[];
}

/** An answer that is no success: `message` is a sentence for the person at the page. */
export class ApiError extends Error {
  readonly status: number;
  readonly requestId: string | null;

  constructor(status: number, message: string, requestId: string | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.requestId = requestId;
  }
}

/** No answer, or one of a gateway that has nothing behind it. What was asked may be asked again. */
export class AwayError extends Error {
  constructor() {
    super("The server cannot be reached at the moment.");
    this.name = "AwayError";
  }
}

/** What a call leaves to the page: whose token, and what to do when it is no longer good or the server is away. */
export interface Surroundings {
  token(): string | null;
  expired(): void;
  reached(there: boolean): void;
}

const GATEWAY = new Set([502, 503, 504]);
/** Longer than the API's own limits, so that its answer comes first. */
export const TIMEOUT_MS = 20_000;
/** An agent asks a model several times. */
export const CHAT_TIMEOUT_MS = 120_000;

export interface Request {
  method?: "GET" | "POST";
  body?: unknown;
  idempotencyKey?: string;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Without a token, and a 401 that means a wrong password. */
  anonymous?: boolean;
}

export class Api {
  readonly #surroundings: Surroundings;
  readonly #fetch: typeof fetch;

  constructor(surroundings: Surroundings, fetching: typeof fetch = (input, init) => fetch(input, init)) {
    this.#surroundings = surroundings;
    this.#fetch = fetching;
  }

  /** Call the server. Throws AwayError or ApiError. */
  async call<Answer>(path: string, request: Request = {}): Promise<Answer> {
    const headers = new Headers({ Accept: "application/json" });
    const token = request.anonymous ? null : this.#surroundings.token();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    if (request.body !== undefined) headers.set("Content-Type", "application/json");
    if (request.idempotencyKey) headers.set("Idempotency-Key", request.idempotencyKey);
    const limits = [AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS), ...(request.signal ? [request.signal] : [])];
    let response: Response;
    try {
      response = await this.#fetch(path, {
        method: request.method ?? "GET",
        headers,
        signal: AbortSignal.any(limits),
        cache: "no-store",
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      });
    } catch (error) {
      if (request.signal?.aborted) throw error; // the page went elsewhere: no sign of the server
      this.#surroundings.reached(false);
      throw new AwayError();
    }
    if (GATEWAY.has(response.status)) {
      this.#surroundings.reached(false);
      throw new AwayError();
    }
    this.#surroundings.reached(true);
    if (response.status === 401 && !request.anonymous) this.#surroundings.expired();
    const answer: unknown = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) {
      throw new ApiError(response.status, sentence(response, answer), response.headers.get("X-Request-Id"));
    }
    return answer as Answer;
  }
}

/** What went wrong, in words: the server's own where it gives some. */
export function sentence(response: Pick<Response, "status" | "headers">, answer: unknown): string {
  const detail = typeof answer === "object" && answer !== null && "detail" in answer ? answer.detail : null;
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    const wait = seconds > 90 ? `${Math.ceil(seconds / 60)} minutes` : seconds > 0 ? `${seconds} seconds` : "a little while";
    return `Too many tries: please wait ${wait}, and try again.`;
  }
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map(fieldSentence).join(" ");
  if (response.status === 413) return "That is too much at once for the server: please send less.";
  if (response.status >= 500) return "The server met a problem with this request. It has been noted; please try again.";
  return `The server refused this request (${response.status}).`;
}

/** One of the problems that the server found in what it was sent. */
function fieldSentence(problem: unknown): string {
  const { loc, msg } = (problem ?? {}) as { loc?: unknown[]; msg?: string };
  const text = (msg ?? "is not right").replace(/^Value error, /, "");
  const place = (loc ?? []).filter((part) => part !== "body").map((part) => (typeof part === "number" ? part + 1 : part));
  const named = place.join(" ").replaceAll("_", " ");
  return named ? `${named[0]?.toUpperCase()}${named.slice(1)}: ${text}.` : `${text}.`;
}
