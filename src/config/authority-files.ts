import { readFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { ConfigError } from './config-error.js'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * Reads the certificates of `federation_custom_ca_list`, in PEM, each by itself. Throws a `ConfigError` for a file that
 * cannot be read, or has none.
 */
export async function loadAuthorities(paths: readonly string[]): Promise<string[]> {
  const files = await Promise.all(paths.map((path, index) => readAuthorities(path, index)))
  return files.flat()
}

async function readAuthorities(path: string, index: number): Promise<string[]> {
  const fail = (message: string): ConfigError =>
    new ConfigError([{ location: undefined, path: `federation_custom_ca_list[${index}]`, message }])
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw fail((error as Error).message)
  }
  const certificates = text.match(CERTIFICATE) ?? []
  if (certificates.length === 0) throw fail(`${path} has no certificate in PEM`)
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate)
    } catch {
      throw fail(`${path} has a certificate that cannot be read`)
    }
  }
  return certificates
}
