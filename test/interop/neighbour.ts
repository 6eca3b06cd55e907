import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startHomeserver, type TestHomeserver } from '../support/homeserver.js'
import type { TestAuthority } from '../support/test-authority.js'
import { freePort } from './synapse-process.js'

/** A server of ours, named by its address. `directory`: for its files. */
export async function startNeighbour(authority: TestAuthority, directory: string): Promise<TestHomeserver> {
  const [client, federation] = await Promise.all([freePort(), freePort()])
  const { certificate, privateKey } = authority.issue(['127.0.0.1'])
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const listener = { type: 'http', bind_addresses: ['127.0.0.1'] }
  return startHomeserver({
    config: {
      server_name: `127.0.0.1:${federation}`,
      listeners: [
        { ...listener, port: client, resources: [{ names: ['client'] }] },
        { ...listener, port: federation, tls: true, resources: [{ names: ['federation', 'keys'] }] },
      ],
      tls_certificate_path: write('tls.crt', certificate),
      tls_private_key_path: write('tls.key', privateKey),
      federation_custom_ca_list: [write('authority.pem', authority.certificate)],
      media_store_path: join(directory, 'media'),
      ip_range_blacklist: [],
    },
  })
}
