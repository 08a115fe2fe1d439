import { Component, type ReactNode } from "react";

/** A mistake of this page is told, instead of leaving nothing on it. */
export class Safe extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <main>
        <div className="empty" role="alert">
          <h1>Something went wrong on this page</h1>
          <p>What you sent is safe with the server. Load the page again to go on.</p>
          <button type="button" className="button button-main" onClick={() => location.reload()}>
            Load again
          </button>
        </div>
      </main>
    );
  }
}
