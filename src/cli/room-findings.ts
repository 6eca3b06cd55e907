import type { RoomFinding } from '../server/administration-methods.js'

/** One line for people. */
export function describeFinding(finding: RoomFinding): string {
  switch (finding.kind) {
    case 'followedEnd':
      return `end       ${finding.eventId} is followed by other events`
    case 'brokenEnd':
      return `end       ${finding.eventId ?? 'an event that is not held'} cannot be one`
    case 'lostEnd':
      return `end       ${finding.eventId} is missing`
    case 'missingAuthEvent':
    case 'missingPosition':
    case 'missingEdge':
      return describeGap(finding)
    case 'missingState':
      return `state     ${describeFault(finding)}: ${ORIGINS[finding.from ?? 'nowhere']}`
    case 'wrongState':
      return describeWrongState(finding)
    case 'wrongMember':
      return `member    ${finding.userId}: the list of members says something else than the state`
    case 'wrongCounts':
      return (
        `counts    ${finding.joined} joined, ${finding.invited} invited; ` +
        `should be ${finding.trueJoined} and ${finding.trueInvited}`
      )
  }
}

type Finding<Kind extends RoomFinding['kind']> = Extract<RoomFinding, { kind: Kind }>

function describeGap(finding: Finding<'missingAuthEvent' | 'missingPosition' | 'missingEdge'>): string {
  switch (finding.kind) {
    case 'missingAuthEvent':
      return (
        `auth      ${finding.authEventId}, which authorizes ${finding.eventId}, is not held: ` +
        (finding.from === undefined ? 'it is lost' : 'another server has it')
      )
    case 'missingPosition':
      return `auth      ${finding.eventId} has no place in the auth chains`
    case 'missingEdge':
      return `graph     ${finding.eventId} follows ${finding.prevEventId}, which is not written`
  }
}

function describeWrongState({ type, stateKey, is, shouldBe }: Finding<'wrongState'>): string {
  const key = stateKey === '' ? type : `${type} ${stateKey}`
  return `state     ${key}: ${is ?? 'nothing'}, should be ${shouldBe ?? 'nothing'}`
}

const ORIGINS = {
  graph: 'as the events before it say',
  servers: 'as another server says',
  currentState: 'as the current state of the room says',
  nowhere: 'it is lost',
} as const

function describeFault({ fault, eventId, events }: Finding<'missingState'>): string {
  const where = events > 1 ? `${eventId} and ${events - 1} more` : eventId
  switch (fault) {
    case 'unlinked':
      return `${where} names none`
    case 'missing':
      return `that of ${where} is not there`
    case 'unreadable':
      return `that of ${where} cannot be read`
    case 'damaged':
      return `that of ${where} is not what its hash says`
    case 'hollow':
      return `that of ${where} has events in it that are not held`
  }
}
