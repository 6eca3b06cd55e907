import type { Query } from '../../storage/database.js'
import { AppservicesStore } from '../../storage/stores/appservices.js'
import {
  DestinationBacklogsStore,
  type DestinationBacklog,
} from '../../storage/stores/destination-backlogs.js'
import { QueueHealthStore } from '../../storage/stores/queue-health.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { info, ok, warning, type Finding } from './finding.js'

const DAY_MS = 24 * 60 * 60_000
const HOUR_MS = 60 * 60_000
const MAX_SERVERS = 10_000
const MAX_SHOWN = 5
/** Of servers that are known, so many away at a time are no accident of theirs. */
const SUSPICIOUS_SHARE = 0.5
const SUSPICIOUS_COUNT = 10
/** A server that answers and is told nothing. */
const STUCK_MESSAGES = 1_000

/** What waits for other servers and application services, and does not go out; what has come, and is not taken up. */
export const checkQueues: DoctorCheck = {
  name: 'queues',
  summary: 'what waits for other servers and application services, and what came from other servers',
  usesNetwork: false,
  async run(context) {
    const db = await context.database()
    if (db === undefined) return [info('nothing waits yet')]
    const findings = [
      ...(await ofServers(db.reader, context)),
      ...(await ofInbox(db.reader, context)),
      ...(await ofAppservices(db.reader, context)),
    ]
    return findings.length > 0 ? findings : [ok('nothing waits for long')]
  },
}

async function ofServers(reader: Query, { clock }: DoctorContext): Promise<Finding[]> {
  const backlogs = await new DestinationBacklogsStore().list(reader, { limit: MAX_SERVERS })
  const known = await new QueueHealthStore().countKnownServers(reader)
  const failing = backlogs.filter(({ failure }) => failure !== undefined && failure.failures > 0)
  const findings: Finding[] = []
  const recent = failing.filter(({ failure }) => (failure?.failingSinceTs ?? 0) > clock.now() - HOUR_MS)
  if (recent.length >= SUSPICIOUS_COUNT && recent.length > known * SUSPICIOUS_SHARE) {
    findings.push(
      warning(`${recent.length} other servers have stopped answering within the last hour`, {
        consequence: 'it is more likely that this server cannot reach anybody',
        cure: 'mxhs doctor --only federation --server matrix.org',
      }),
    )
  }
  const old = failing.filter(({ failure }) => (failure?.failingSinceTs ?? 0) < clock.now() - DAY_MS)
  if (old.length > 0) findings.push(away(old))
  const stuck = backlogs.filter(({ failure, messages }) => failure === undefined && messages > STUCK_MESSAGES)
  for (const { serverName, messages } of stuck.slice(0, MAX_SHOWN)) {
    findings.push(
      warning(`${messages} messages wait for ${serverName}, which is not known to fail`, {
        consequence: 'encrypted messages there cannot be read',
        cure: 'restart the server; if it stays, the log says why (component federation)',
      }),
    )
  }
  return findings
}

function away(backlogs: readonly DestinationBacklog[]): Finding {
  const shown = backlogs.slice(0, MAX_SHOWN).map(({ serverName }) => serverName)
  const more = backlogs.length > MAX_SHOWN ? ` and ${backlogs.length - MAX_SHOWN} more` : ''
  return info(`${backlogs.length} other servers have not answered for a day: ${shown.join(', ')}${more}`, {
    consequence: 'what waits for them is sent when they are back',
    cure: 'mxhs federation status shows why; mxhs federation retry SERVER tries one at once',
  })
}

async function ofInbox(reader: Query, { clock }: DoctorContext): Promise<Finding[]> {
  const store = new QueueHealthStore()
  const findings: Finding[] = []
  const inbound = await store.inboundBefore(reader, clock.now() - HOUR_MS)
  if (inbound !== undefined) {
    const { events, rooms, oldestTs } = inbound
    findings.push(
      warning(
        `${events} events of other servers in ${rooms} rooms have waited since ${new Date(oldestTs).toISOString()}`,
        {
          consequence: 'messages from other servers appear late or not at all',
          cure: 'start the server; if it runs, the log says what it waits for (component federation)',
          details: { events, rooms },
        },
      ),
    )
  }
  const joins = await store.listUnfinishedJoins(reader, clock.now() - DAY_MS, MAX_SHOWN)
  for (const { roomId, joinedTs } of joins) {
    findings.push(
      warning(
        `the state of ${roomId} is incomplete since it was joined at ${new Date(joinedTs).toISOString()}`,
        {
          consequence: 'lists of its members wait, and older clients do not show it',
          cure: 'mxhs federation status shows which servers do not answer',
          details: { roomId },
        },
      ),
    )
  }
  return findings
}

async function ofAppservices(reader: Query, { clock }: DoctorContext): Promise<Finding[]> {
  const store = new AppservicesStore()
  const letters = await store.listDeadLetters(reader)
  const counts = new Map<string, number>()
  for (const { appserviceId } of letters) counts.set(appserviceId, (counts.get(appserviceId) ?? 0) + 1)
  const refused = [...counts].map(([id, count]) =>
    warning(`${count} transactions of the application service ${id} were put aside`, {
      consequence: 'it has missed messages, and will not get them any more',
      cure: `mxhs appservice dead-letters ${id} --body`,
      details: { id, count },
    }),
  )
  const failing = await new QueueHealthStore().listFailingAppservices(reader, MAX_SERVERS)
  const silent = failing.filter(({ failingSinceTs }) => failingSinceTs < clock.now() - HOUR_MS)
  return [
    ...refused,
    ...silent.map(({ id, failingSinceTs, lastError }) =>
      warning(
        `the application service ${id} has failed since ${new Date(failingSinceTs).toISOString()}: ${lastError}`,
        {
          consequence: 'its bridge or bot is told nothing',
          cure: `mxhs appservice ping ${id}`,
        },
      ),
    ),
  ]
}
