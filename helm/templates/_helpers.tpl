{{/* The release's resources are named after it; a release that is called like the chart is not named twice. */}}
{{- define "bridge.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What a selector asks for. Give it (dict "root" $ "part" "worker"). */}}
{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "bridge.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The configuration of one part: the sections that it needs and no others. */}}
{{- define "bridge.config" -}}
{{- if eq .part "ingress" }}
{{- pick .root.Values.config "version" "kafka" "log" "ingress" | toYaml }}
{{- else }}
{{- $config := pick .root.Values.config "version" "kafka" "log" "sites" "worker" "ledger" | deepCopy }}
{{- $ledger := dict "url" "sqlite:////var/lib/jira-bridge/ledger.sqlite" }}
{{- $_ := set $config "ledger" (mergeOverwrite $ledger (default dict $config.ledger)) }}
{{- $mappings := list }}
{{- range $name, $_ := .root.Values.worker.mappings }}
{{- $mappings = append $mappings (printf "/etc/jira-bridge/mappings/%s" $name) }}
{{- end }}
{{- set $config "mappings" $mappings | toYaml }}
{{- end }}
{{- end }}

{{/* "true" where the ledger is a server's, so that several workers may share it. */}}
{{- define "bridge.shared" -}}
{{- if hasPrefix "postgresql:" (dig "ledger" "url" "" .Values.config) }}true{{ end }}
{{- end }}

{{/* The port that a part's probes are asked at. */}}
{{- define "bridge.port" -}}
{{- dig .part "port" (ternary 8080 8081 (eq .part "ingress")) .root.Values.config }}
{{- end }}

{{- define "bridge.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What the containers of one part's pod see. */}}
{{- define "bridge.mounts" -}}
{{- $values := index .root.Values .part -}}
- {name: config, mountPath: /etc/jira-bridge/config.yaml, subPath: {{ .part }}.yaml, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if $values.secretName }}
- {name: secrets, mountPath: /etc/jira-bridge/secrets, readOnly: true}
{{- end }}
{{- if eq .part "worker" }}
{{- if not (include "bridge.shared" .root) }}
- {name: ledger, mountPath: /var/lib/jira-bridge}
{{- end }}
{{- if $values.mappings }}
- {name: mappings, mountPath: /etc/jira-bridge/mappings, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{/* The pod of one part. */}}
{{- define "bridge.pod" -}}
{{- $values := index .root.Values .part -}}
{{- $shared := include "bridge.shared" .root -}}
metadata:
  labels: {{- include "bridge.labels" . | nindent 4 }}
  annotations:
    # A changed configuration starts new pods.
    checksum/config: {{ printf "%s%s" (include "bridge.config" .) (dig "mappings" dict $values | toYaml) | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "bridge.name" .root }}
  automountServiceAccountToken: false
  # Kubernetes would add a variable for each Service, and some of those could look like configuration.
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  # A little more than the process takes to finish what is under way.
  terminationGracePeriodSeconds: {{ ternary (dig "worker" "drain_seconds" 25 .root.Values.config) 25 (eq .part "worker") | addf 5 | ceil | int }}
  {{- if and $shared (eq .part "worker") }}
  initContainers:
    # Makes the tables, or brings them to this version; those of several pods wait for each other.
    - name: migrate
      image: {{ include "bridge.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [ledger, migrate, --config, /etc/jira-bridge/config.yaml]
      securityContext: {{- include "bridge.confined" . | nindent 8 }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      volumeMounts: {{- include "bridge.mounts" . | nindent 8 }}
  {{- end }}
  containers:
    - name: {{ .part }}
      image: {{ include "bridge.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [{{ .part }}, --config, /etc/jira-bridge/config.yaml]
      {{- if eq .part "worker" }}
      env:
        - {name: BRIDGE_KAFKA__INSTANCE_ID, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ include "bridge.port" . }}}
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
      # The start may take a while: a ledger is recovered, topics are made.
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        failureThreshold: 60
      securityContext: {{- include "bridge.confined" . | nindent 8 }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      volumeMounts: {{- include "bridge.mounts" . | nindent 8 }}
  volumes:
    - name: config
      configMap: {name: {{ include "bridge.name" .root }}}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with $values.secretName }}
    - name: secrets
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- if eq .part "worker" }}
    {{- if not $shared }}
    - name: ledger
      persistentVolumeClaim:
        claimName: {{ $values.persistence.existingClaim | default (printf "%s-ledger" (include "bridge.name" .root)) }}
    {{- end }}
    {{- if $values.mappings }}
    - name: mappings
      configMap: {name: {{ include "bridge.name" .root }}-mappings}
    {{- end }}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
