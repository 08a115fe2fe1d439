/** A report's text, cut where something was found in it. */

import type { Entity } from "../api.ts";

export interface Segment {
  text: string;
  /** What this piece is; null between finds. */
  entity: Entity | null;
}

/** The text in pieces that make it up again, in order. Places count code points, as the server's do; of two that
 * overlap the longer is shown, and one that lies outside the text is left out. */
export function cut(body: string, entities: readonly Entity[]): Segment[] {
  const characters = [...body];
  const wanted = entities
    .filter((entity) => entity.starts_at >= 0 && entity.starts_at < entity.ends_at && entity.ends_at <= characters.length)
    .toSorted((a, b) => length(b) - length(a) || a.starts_at - b.starts_at);
  const shown: Entity[] = [];
  for (const entity of wanted) {
    if (shown.every((other) => entity.ends_at <= other.starts_at || entity.starts_at >= other.ends_at)) shown.push(entity);
  }
  const segments: Segment[] = [];
  let at = 0;
  const take = (end: number, entity: Entity | null) => {
    if (end > at) segments.push({ text: characters.slice(at, end).join(""), entity });
    at = end;
  };
  for (const entity of shown.toSorted((a, b) => a.starts_at - b.starts_at)) {
    take(entity.starts_at, null);
    take(entity.ends_at, entity);
  }
  take(characters.length, null);
  return segments;
}

function length(entity: Entity): number {
  return entity.ends_at - entity.starts_at;
}
