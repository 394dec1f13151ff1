// The button on the card of a device that no profile claims: asks the gateway for a draft of one, made from what the device has
// sent, and saves it as a file to go on with.

import { createContext } from 'preact'
import { useContext, useState } from 'preact/hooks'

/** Resolves with the YAML; rejects with the gateway's words. */
export type DraftOf = (device: string) => Promise<string>

export const Drafts = createContext<DraftOf | undefined>(undefined)

const DEADLINE_MS = 30_000

/** Asks the gateway whose API is at `base`. */
export const draftsFrom =
  (base: URL, token: () => string | undefined): DraftOf =>
  async (device) => {
    const url = new URL('profile-draft', base)
    url.searchParams.set('device', device)
    const secret = token()
    const response = await fetch(url, {
      signal: AbortSignal.timeout(DEADLINE_MS),
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
    })
    if (response.ok) return response.text()
    const problem: unknown = await response.json().catch(() => undefined)
    const detail = typeof problem === 'object' && problem !== null && 'detail' in problem ? problem.detail : undefined
    throw new Error(typeof detail === 'string' ? detail : `the gateway answered ${response.status}`)
  }

export const ProfileDraftButton = ({ device }: { readonly device: string }) => {
  const draftOf = useContext(Drafts)
  const [phase, setPhase] = useState<'idle' | 'asking' | { readonly failed: string }>('idle')
  if (draftOf === undefined) return null
  const ask = async () => {
    setPhase('asking')
    try {
      save(`${fileName(device)}.yaml`, await draftOf(device))
      setPhase('idle')
    } catch (error) {
      setPhase({ failed: error instanceof Error ? error.message : String(error) })
    }
  }
  return (
    <p class="draft">
      <button type="button" disabled={phase === 'asking'} onClick={() => void ask()}>
        Draft a profile
      </button>
      {typeof phase === 'object' && (
        <span role="status" class="note">
          {phase.failed}
        </span>
      )}
    </p>
  )
}

const fileName = (device: string): string =>
  device
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64) || 'my-device'

const save = (name: string, text: string): void => {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}
