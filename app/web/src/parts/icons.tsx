/** The few pictures of this page, as strokes in the colour of the text. */

import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

export const PanelsIcon = () => (
  <Icon>
    <path d="M9 3h6M10 3v6.2L5.2 17.6A2.3 2.3 0 0 0 7.2 21h9.6a2.3 2.3 0 0 0 2-3.4L14 9.2V3" />
    <path d="M7.6 14.5h8.8" />
  </Icon>
);
export const ReportsIcon = () => (
  <Icon>
    <path d="M7 3h7l4 4v14H7a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 7 3Z" />
    <path d="M14 3v4h4M9 12h6M9 16h4" />
  </Icon>
);
export const TrendsIcon = () => (
  <Icon>
    <path d="M4 4v15a1 1 0 0 0 1 1h15" />
    <path d="m7.5 15 3.8-4.4 3.2 2.6L19.5 7" />
  </Icon>
);
export const ChatIcon = () => (
  <Icon>
    <path d="M20 11.5a7.5 7.5 0 0 1-10.9 6.7L4.5 19.5l1.3-4.4A7.5 7.5 0 1 1 20 11.5Z" />
    <path d="M9 10h7M9 13.2h4.5" />
  </Icon>
);
export const PlusIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);
export const CrossIcon = () => (
  <Icon>
    <path d="m6.5 6.5 11 11M17.5 6.5l-11 11" />
  </Icon>
);
export const BackIcon = () => (
  <Icon>
    <path d="M19 12H5.5M11 6l-6 6 6 6" />
  </Icon>
);
export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5.5M6 11l6-6 6 6" />
  </Icon>
);
export const ArrowUp = () => (
  <Icon>
    <path d="M12 19V5M6 11l6-6 6 6" />
  </Icon>
);
export const ArrowDown = () => (
  <Icon>
    <path d="M12 5v14M6 13l6 6 6-6" />
  </Icon>
);
export const Mark = () => (
  <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" className="mark-ground" />
    <path d="M6 21h20M8.5 21l15-9" className="mark-lines" />
    <circle cx="16" cy="12.6" r="3.1" className="mark-dot" />
  </svg>
);
