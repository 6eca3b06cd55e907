import type { AdministrationTools } from './administration.js'
import { formatTime } from './format-time.js'

export type StateExplanation = Awaited<ReturnType<AdministrationTools['stateExplanations']['explain']>>
export type EventExplanation = Awaited<ReturnType<AdministrationTools['eventExplanations']['explain']>>

type Merge = NonNullable<StateExplanation['merge']>
type Candidate = StateExplanation['candidates'][number]
type Event = EventExplanation['event']
type Verdict = EventExplanation['checks'][number]['verdict']

const STATUS = {
  accepted: 'accepted',
  rejected: 'rejected',
  softFailed:
    'soft-failed: it was allowed where it stands, but not by what the room had come to when it arrived',
  outlier: 'an outlier: it is known, but has no place in the timeline',
} as const

const CHECKS = {
  authEvents: 'By its own auth events',
  stateBefore: 'By the state before it',
  currentState: 'By the state of the room as it is now',
} as const

const PASSES = {
  power: 'as it may take power from somebody',
  mainline: 'in the order of the power levels it stands on',
  line: 'in the order of depth',
  deepest: 'from the deepest on',
} as const

/** Why an event is in its room or not, in lines for people. */
export function describeEventExplanation(explanation: EventExplanation): string[] {
  const { event, checks, prevEvents, missingAuthEvents, redactedBy } = explanation
  return [
    ...describeEvent(event),
    `It is ${STATUS[event.status]}.`,
    ...(event.rejected === undefined ? [] : [`  rule ${event.rejected}`]),
    ...(redactedBy === undefined ? [] : [`It was redacted by ${redactedBy}.`]),
    '',
    `It follows ${prevEvents.length === 0 ? 'nothing' : prevEvents.map(({ eventId }) => eventId).join(', ')}`,
    ...missingAuthEvents.map((eventId) => `Its auth event ${eventId} is not held.`),
    ...checks.flatMap(({ by, verdict, inputs }) => [
      '',
      `${CHECKS[by]}: ${describeVerdict(verdict)}`,
      ...inputs.map((input) => `  ${brief(input)}`),
    ]),
  ]
}

/** Why a piece of state is what it is, in lines for people. */
export function describeStateExplanation(explanation: StateExplanation): string[] {
  const { holder, merge, candidates } = explanation
  return [
    ...(holder === undefined ? ['Nothing holds it.'] : describeEvent(holder)),
    ...(merge === undefined ? [] : ['', ...describeMerge(merge)]),
    ...(candidates.length === 0 ? [] : ['', 'What was sent for it, the newest first:']),
    ...candidates.flatMap(describeCandidate),
  ]
}

function describeEvent(event: Event): string[] {
  return [
    `${event.eventId}  ${event.type}${event.stateKey === undefined ? '' : ` '${event.stateKey}'`}`,
    `  by ${event.sender}, ${formatTime(event.originServerTs)}, depth ${event.depth}`,
  ]
}

function describeCandidate(candidate: Candidate): string[] {
  const { event, merge } = candidate
  const line = `  ${event.eventId}  ${event.sender}  ${formatTime(event.originServerTs)}  ${fateOf(candidate)}`
  const isElsewhere = candidate.fate === 'lost' && merge?.at !== undefined
  return [line, ...(isElsewhere ? describeMerge(merge).map((text) => `    ${text}`) : [])]
}

function fateOf({ fate, event, replacedBy }: Candidate): string {
  switch (fate) {
    case 'holds':
      return 'holds it'
    case 'replaced':
      return `replaced by ${replacedBy ?? 'another'}`
    case 'lost':
      return 'lost where branches met'
    case 'rejected':
      return `rejected by rule ${event.rejected ?? ''}`
    case 'softFailed':
      return 'soft-failed'
    case 'outlier':
      return 'an outlier'
    case 'unknown':
      return 'holds it no more; what came of it is too far back'
  }
}

function describeMerge(merge: Merge): string[] {
  return [
    merge.at === undefined
      ? `The room has ${merge.branches.length} ends, which disagree about it:`
      : `${merge.at} joins branches that disagree about it:`,
    ...merge.branches.map(({ end, holds }) => `  after ${end}: ${holds ?? 'nothing'}`),
    ...(merge.unknownBranches === 0
      ? []
      : [
          `  and ${merge.unknownBranches} that are not held: other servers have said what the state was there`,
        ]),
    ...(merge.steps.length === 0 ? [] : [`State resolution (${merge.algorithm}) tried in this order:`]),
    ...merge.steps.map(
      ({ pass, event, verdict }) => `  ${brief(event)}, ${PASSES[pass]}: ${describeVerdict(verdict)}`,
    ),
    merge.winner === undefined ? 'Nothing was left.' : `${merge.winner} won.`,
  ]
}

function describeVerdict({ allowed, rule, reason }: Verdict): string {
  return allowed ? 'allowed' : `refused by rule ${rule ?? ''}: ${reason ?? ''}`
}

function brief({ eventId, type, stateKey, sender, status }: Event): string {
  const name = stateKey === undefined || stateKey === '' ? type : `${type} '${stateKey}'`
  return `${eventId}  ${name} of ${sender}${status === 'rejected' ? ' (rejected)' : ''}`
}
