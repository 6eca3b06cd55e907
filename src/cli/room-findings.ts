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
    case 'missingSnapshot':
      return `state     ${finding.snapshotNid} is missing, and events refer to it`
    case 'wrongState': {
      const key = finding.stateKey === '' ? finding.type : `${finding.type} ${finding.stateKey}`
      return `state     ${key}: ${finding.is ?? 'nothing'}, should be ${finding.shouldBe ?? 'nothing'}`
    }
    case 'wrongMember':
      return `member    ${finding.userId}: the list of members says something else than the state`
    case 'wrongCounts':
      return (
        `counts    ${finding.joined} joined, ${finding.invited} invited; ` +
        `should be ${finding.trueJoined} and ${finding.trueInvited}`
      )
  }
}
