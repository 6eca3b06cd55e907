import type { Bench, Figures } from '../bench.js'

const ROUNDS = 20

/** A message to each of many devices in one request, as a client shares the key of a room; then what one of them gets. */
export async function measureToDevice(bench: Bench): Promise<Figures> {
  const count = bench.sizes.devices
  const receivers = await bench.people(count)
  const sender = await bench.client.register(bench.name('todevice'))
  const content = { algorithm: 'm.olm.v1.curve25519-aes-sha2', ciphertext: 'c'.repeat(700) }
  const messages = Object.fromEntries(receivers.map(({ userId }) => [userId, { '*': content }]))
  const transaction = bench.name('')
  const last = receivers.at(-1)!
  const { next_batch: since } = await last.sync()
  const sent = await bench.time(`to-device message to ${count} devices`, ROUNDS, (round) =>
    sender.request('PUT', `/_matrix/client/v3/sendToDevice/m.room.encrypted/${transaction}${round}`, {
      messages,
    }),
  )
  const { to_device: inbox } = await last.sync(since)
  const received = inbox?.events.length ?? 0
  if (received !== ROUNDS + 1)
    throw new Error(`A device has received ${received} messages, not ${ROUNDS + 1}`)
  return sent
}
