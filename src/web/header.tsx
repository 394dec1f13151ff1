// The header that stays in sight: gateway name, what the connection is doing and since when, the search box.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { ConnectionState } from './connection.ts'
import { clockText, isoText } from './format.ts'

/** A first connection normally takes milliseconds; only a slow one is worth a word about its beginning. */
const SLOW_CONNECT_MS = 3_000

export interface HeaderProps {
  readonly gateway: string
  readonly state: ConnectionState
  readonly search: string
  onSearch(text: string): void
}

export const Header = ({ gateway, state, search, onSearch }: HeaderProps) => (
  <header>
    <div class="bar">
      <img src="icon.svg" alt="" width="32" height="32" />
      <h1 title={gateway}>
        <bdi>{gateway === '' ? 'tidegate' : gateway}</bdi>
      </h1>
      <ConnectionPill state={state} />
      {state.phase !== 'locked' && <Search search={search} onSearch={onSearch} />}
    </div>
  </header>
)

const ConnectionPill = ({ state }: { readonly state: ConnectionState }) => {
  const slow = useSlow(state)
  return (
    <p class={`pill ${state.phase}`} role="status" aria-live="polite" title={state.reason}>
      {phaseText(state)}
      {(state.phase === 'reconnecting' || slow) && (
        <>
          {' since '}
          <time dateTime={isoText(state.sinceMs)}>{clockText(state.sinceMs, Date.now())}</time>
        </>
      )}
    </p>
  )
}

const phaseText = ({ phase }: ConnectionState): string => (phase === 'locked' ? 'token needed' : phase)

const useSlow = ({ phase, sinceMs }: ConnectionState): boolean => {
  const [slowSinceMs, setSlowSinceMs] = useState(0)
  useEffect(() => {
    if (phase !== 'connecting') return undefined
    const timer = setTimeout(() => setSlowSinceMs(sinceMs), SLOW_CONNECT_MS)
    return () => clearTimeout(timer)
  }, [phase, sinceMs])
  return phase === 'connecting' && slowSinceMs === sinceMs
}

const Search = ({ search, onSearch }: Pick<HeaderProps, 'search' | 'onSearch'>) => {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing) return
      event.preventDefault()
      input.current?.focus()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
  return (
    <search>
      <input
        ref={input}
        type="search"
        aria-label="Search devices and values"
        placeholder="Search devices and values"
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        enterkeyhint="search"
        value={search}
        onInput={(event) => onSearch(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onSearch('')
        }}
      />
    </search>
  )
}
