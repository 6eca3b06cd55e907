import { canonicalJson, hasOnlyIntegers } from '../src/protocol/canonical-json.js'
import { createSigningKey, verifySignature } from '../src/protocol/ed25519.js'
import { buildEvent, type EventSigner, type NewEvent } from '../src/protocol/event-builder.js'
import { parseEvent } from '../src/protocol/event-format.js'
import { hasValidContentHash, signedText } from '../src/protocol/hashes.js'
import type { EventId, RoomId, ServerName, UserId } from '../src/protocol/ids.js'
import { redactPdu } from '../src/protocol/redaction.js'
import { getRoomVersionRules } from '../src/protocol/room-versions.js'
import { signaturesOf } from '../src/protocol/signed-json.js'
import { createSigner, makeSigningKey } from '../src/protocol/signing-keys.js'
import type { JsonObject } from '../src/util/json.js'

/*
 * What a message of 0.7 KiB costs before anybody stores it. Microseconds of CPU per run, the median of several rounds;
 * every run has an event of its own.
 *
 *   npx tsx bench/protocol.ts
 */

const EVENTS = 2000
const ROUNDS = 9
const rules = getRoomVersionRules('11')!
const serverName = 'example.org' as ServerName
const reference = (letter: string): { eventId: EventId } => ({ eventId: `$${letter.repeat(43)}` as EventId })

function draft(index: number): NewEvent {
  return {
    roomId: '!UcYsUzyxTGDxLBEvLy:example.org' as RoomId,
    type: 'm.room.message',
    sender: '@alice:example.org' as UserId,
    content: {
      msgtype: 'm.text',
      body: `Message ${index}: a few words of what people write to each other, with a "quotation" in it.`,
      format: 'org.matrix.custom.html',
      'm.mentions': { user_ids: ['@bob:example.org'] },
    },
    prevEvents: [reference('p')],
    authEvents: ['a', 'b', 'c'].map(reference),
    depth: index,
    originServerTs: 1_700_000_000_000 + index,
  }
}

function measure<T>(title: string, inputs: () => readonly T[], run: (input: T) => unknown): void {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const items = inputs()
    const started = process.cpuUsage()
    for (const item of items) run(item)
    const { user, system } = process.cpuUsage(started)
    times.push((user + system) / items.length)
  }
  times.sort((a, b) => a - b)
  console.log(`${title}: ${times[Math.floor(ROUNDS / 2)]!.toFixed(2)} µs (best ${times[0]!.toFixed(2)})`)
}

/** Members in an order that is not the canonical one, as other software may send them. */
function shuffled(json: JsonObject): JsonObject {
  const entries = Object.entries(json)
  return Object.fromEntries([...entries.slice(3), ...entries.slice(0, 3).reverse()])
}

const key = makeSigningKey('bench', Buffer.alloc(32, 7))
const signer: EventSigner = createSigner(serverName, key)
const drafts = Array.from({ length: EVENTS }, (_, index) => draft(index))
const events = drafts.map((item) => buildEvent(rules, item, signer))
const texts = events.map(({ json }) => JSON.stringify(json))
const parsed = (): JsonObject[] => texts.map((text) => JSON.parse(text) as JsonObject)
const unsorted = texts.map((text) => JSON.stringify(shuffled(JSON.parse(text) as JsonObject)))
const { verifyKey } = createSigningKey(Buffer.alloc(32, 7))

console.log(`An event of ${texts[0]!.length} bytes`)
measure('canonical JSON, in order', parsed, canonicalJson)
measure(
  'canonical JSON, out of order',
  () => unsorted.map((text) => JSON.parse(text) as JsonObject),
  canonicalJson,
)
measure('JSON.stringify', parsed, (json) => JSON.stringify(json))
measure(
  'JSON.parse',
  () => texts,
  (text) => JSON.parse(text) as JsonObject,
)
measure('scan of the text for odd numbers', () => texts, hasOnlyIntegers)
measure(
  'redact',
  () => events,
  ({ json }) => redactPdu(rules, json),
)
measure(
  'sign',
  () => texts,
  (text) => signer.sign(text),
)
measure(
  'build: hash, redact, sign, name, check size',
  () => drafts,
  (item) => buildEvent(rules, item, signer),
)
measure(
  'build and serialise',
  () => drafts,
  (item) => JSON.stringify(buildEvent(rules, item, signer).json),
)
measure(
  'parse a remote event',
  () => texts,
  (text) => parseEvent(rules, text),
)
measure('check its content hash', () => events, hasValidContentHash)
measure(
  'verify its signature',
  () => events,
  (event) => {
    const [signature] = signaturesOf(event.json, serverName).values()
    return verifySignature(verifyKey, signedText(event), signature!)
  },
)
