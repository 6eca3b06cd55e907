import type { ServerName } from '../../protocol/ids.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning } from './finding.js'

const TIMEOUT_MS = 10_000
const MAX_BYTES = 64 * 1024
/** A `Date` counts whole seconds, and an answer takes its time. */
const TOLERATED_MS = 5_000
const BAD_MS = 60_000

/** This machine's time against that of others. */
export const checkClock: DoctorCheck = {
  name: 'clock',
  summary: "this machine's time against that of other servers",
  usesNetwork: true,
  async run(context) {
    const { config, server } = context
    const names = new Set([
      ...(server === undefined ? [] : [server]),
      ...config.signingKeys.trustedServers.map(({ serverName }) => serverName as ServerName),
    ])
    names.delete(config.server.serverName)
    const offsets = (await Promise.all([...names].map((name) => offsetFrom(context, name)))).filter(
      (offset) => offset !== undefined,
    )
    const offset = median(offsets)
    if (offset === undefined) {
      return [
        info('no other server has told its time', { cure: 'mxhs doctor --only clock --server matrix.org' }),
      ]
    }
    const seconds = Math.round(Math.abs(offset) / 1000)
    const details = { offsetMs: offset }
    if (Math.abs(offset) <= TOLERATED_MS)
      return [ok(`within ${Math.max(seconds, 1)} s of other servers`, details)]
    const direction = offset > 0 ? 'behind' : 'ahead of'
    const remedy = {
      consequence: 'messages bear a wrong time, and keys and tokens expire too early or too late',
      cure: 'timedatectl set-ntp true',
      details,
    }
    const summary = `this machine is ${seconds} s ${direction} other servers`
    return [Math.abs(offset) > BAD_MS ? failure(summary, remedy) : warning(summary, remedy)]
  },
}

/** How much later it is there; undefined where it does not say. */
async function offsetFrom(
  { network, clock }: DoctorContext,
  serverName: ServerName,
): Promise<number | undefined> {
  const before = clock.now()
  try {
    const { headers } = await network.transport.request({
      ...{ serverName, method: 'GET', path: '/_matrix/federation/v1/version', headers: {} },
      ...{ timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
    })
    const date = Date.parse(String(headers['date']))
    if (Number.isNaN(date)) return undefined
    // Cut down to the second: half of one is missing.
    return date + 500 - (before + clock.now()) / 2
  } catch {
    return undefined
  }
}

function median(numbers: readonly number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)]
}
