import { describe, expect, test } from "vitest";
import { Api, ApiError, AwayError, sentence } from "../src/api.ts";

function surroundings(answer: () => Response | Promise<Response>) {
  const seen = { headers: new Headers(), expired: 0, reached: [] as boolean[], body: undefined as unknown };
  const api = new Api(
    { token: () => "the-token", expired: () => seen.expired++, reached: (there) => seen.reached.push(there) },
    async (_path, init) => {
      seen.headers = new Headers(init?.headers);
      seen.body = init?.body;
      return answer();
    },
  );
  return { api, seen };
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });

describe("a call", () => {
  test("carries the token, and a key that makes it one of a kind", async () => {
    const { api, seen } = surroundings(() => json(202, { id: "1", status: "queued" }));
    await api.call("/api/labs", { method: "POST", body: { a: 1 }, idempotencyKey: "k" });
    expect(seen.headers.get("Authorization")).toBe("Bearer the-token");
    expect(seen.headers.get("Idempotency-Key")).toBe("k");
    expect(seen.body).toBe('{"a":1}');
    expect(seen.reached).toEqual([true]);
  });

  test("whose token is no longer good ends the session", async () => {
    const { api, seen } = surroundings(() => json(401, { detail: "This session has ended." }));
    await expect(api.call("/api/labs")).rejects.toThrow("This session has ended.");
    expect(seen.expired).toBe(1);
  });

  test("with a wrong password ends no session, and sends no token", async () => {
    const { api, seen } = surroundings(() => json(401, { detail: "Wrong." }));
    await expect(api.call("/auth/sign-in", { anonymous: true })).rejects.toThrow(ApiError);
    expect(seen.expired).toBe(0);
    expect(seen.headers.has("Authorization")).toBe(false);
  });

  test.each([502, 503, 504])("that a gateway answers with %s finds the server away", async (status) => {
    const { api, seen } = surroundings(() => new Response("", { status }));
    await expect(api.call("/api/labs")).rejects.toThrow(AwayError);
    expect(seen.reached).toEqual([false]);
  });

  test("that nobody answers finds the server away", async () => {
    const { api, seen } = surroundings(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(api.call("/api/labs")).rejects.toThrow(AwayError);
    expect(seen.reached).toEqual([false]);
  });

  test("that the page itself gave up says nothing of the server", async () => {
    const { api, seen } = surroundings(() => Promise.reject(new DOMException("", "AbortError")));
    await expect(api.call("/api/labs", { signal: AbortSignal.abort() })).rejects.toThrow(DOMException);
    expect(seen.reached).toEqual([]);
  });

  test("without a body in its answer gives null", async () => {
    const { api } = surroundings(() => new Response(null, { status: 204 }));
    expect(await api.call("/auth/sign-out", { method: "POST" })).toBeNull();
  });
});

describe("a refusal", () => {
  const told = (status: number, answer: unknown, headers: Record<string, string> = {}) =>
    sentence({ status, headers: new Headers(headers) }, answer);

  test("is told in the server's own words", () => expect(told(409, { detail: "Taken." })).toBe("Taken."));

  test("of fields names them as a person does", () => {
    const detail = [{ loc: ["body", "tests", 0, "patient_reference"], msg: "Value error, too long", type: "x" }];
    expect(told(422, { detail })).toBe("Tests 1 patient reference: too long.");
  });

  test("for too many tries says how long to wait", () => {
    expect(told(429, {}, { "Retry-After": "30" })).toContain("30 seconds");
    expect(told(429, {}, { "Retry-After": "600" })).toContain("10 minutes");
    expect(told(429, {})).toContain("a little while");
  });

  test("without words is still a sentence", () => {
    expect(told(500, null)).toMatch(/\.$/);
    expect(told(418, "tea")).toContain("418");
  });
});
