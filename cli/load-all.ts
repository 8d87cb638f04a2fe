// Loads all that `start` and its pool processes may load: run once by bin/millrace to fill Node's compile cache.
import { REGISTRY } from '../workers/registry.ts'

export async function loadAll(): Promise<void> {
  await Promise.all([
    import('../api/app.ts'),
    import('../collector/app.ts'),
    import('../dashboard/exporter.ts'),
    import('../dashboard/server.ts'),
    import('../runtime/http.ts'),
    import('./commands/start.ts'),
    import('./main.ts'),
    ...REGISTRY.map((row) => row.load?.()),
  ])
}
