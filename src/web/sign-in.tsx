// Asks for the API token. It goes to the connection's memory and nowhere else: not to a URL, a cookie or a store.

import { useState } from 'preact/hooks'

export interface SignInProps {
  readonly reason: string | undefined
  onToken(token: string): void
}

export const SignIn = ({ reason, onToken }: SignInProps) => {
  const [token, setToken] = useState('')
  const submit = (event: Event) => {
    event.preventDefault()
    if (token.trim() !== '') onToken(token.trim())
  }
  return (
    <main>
      <form class="panel sign-in" onSubmit={submit}>
        <h2>This gateway asks for a token</h2>
        <p class="note">
          Its hash stands in <code>api.tokens</code> of the gateway’s configuration. This page forgets it when it is
          closed.
        </p>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          required
          value={token}
          aria-describedby={reason === undefined ? undefined : 'token-fault'}
          aria-invalid={reason !== undefined}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        {reason !== undefined && (
          <p id="token-fault" class="notice bad" role="alert">
            {reason}
          </p>
        )}
        <button type="submit">Show the values</button>
      </form>
    </main>
  )
}
