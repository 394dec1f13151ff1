// A fault in one part of the page leaves the other parts standing, and says so instead of showing nothing.

import { Component, type ComponentChildren } from 'preact'

interface FaultBoundaryState {
  readonly fault: string | undefined
}

export class FaultBoundary extends Component<{ readonly children?: ComponentChildren }, FaultBoundaryState> {
  override state: FaultBoundaryState = { fault: undefined }

  override componentDidCatch(error: unknown): void {
    console.error(error)
    this.setState({ fault: error instanceof Error ? error.message : String(error) })
  }

  override render() {
    if (this.state.fault === undefined) return this.props.children
    return (
      <p class="notice bad">
        This part of the page has failed: {this.state.fault}. Reload the page; if it fails again, the gateway and the
        page may be of different versions.
      </p>
    )
  }
}
