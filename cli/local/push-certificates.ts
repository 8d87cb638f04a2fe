// The certificates of the push sink: an authority of its own and a certificate for Google's host name, made once a data
// folder. Only the sink holds the key; a client trusts the authority by its file, and nothing else does.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Key and certificate in PEM, and the file of the authority's certificate. */
export async function pushCertificates(dir: string): Promise<{ key: string; cert: string; caFile: string }> {
  mkdirSync(dir, { recursive: true })
  const files = {
    key: join(dir, 'fcm-key.pem'),
    cert: join(dir, 'fcm-cert.pem'),
    ca: join(dir, 'fcm-ca.pem'),
  }
  if (!existsSync(files.ca)) {
    const made = await makeCertificates()
    writeFileSync(files.key, made.key, { mode: 0o600 })
    writeFileSync(files.cert, made.cert)
    writeFileSync(files.ca, made.ca)
  }
  return { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8'), caFile: files.ca }
}

async function makeCertificates(): Promise<{ key: string; cert: string; ca: string }> {
  // Loaded here: needed once a data folder.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  x509.cryptoProvider.set(globalThis.crypto)
  const span = {
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 10 * 365 * 86_400_000),
  }
  const caKeys = await globalThis.crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Millrace local push sink',
    ...span,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const keys = await globalThis.crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=fcm.googleapis.com',
    issuer: ca.subject,
    ...span,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'fcm.googleapis.com' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  })
  const pkcs8 = Buffer.from(await globalThis.crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString(
    'base64',
  )
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/(.{64})/g, '$1\n').trim()}\n-----END PRIVATE KEY-----\n`
  return { key, cert: cert.toString('pem'), ca: ca.toString('pem') }
}
