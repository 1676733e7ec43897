package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/kube/inject"
)

// admit answers one AdmissionReview.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if err != nil {
		http.Error(w, "the review is larger than 4 MiB, or ended early", http.StatusRequestEntityTooLarge)
		return
	}
	req, err := decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	resp := review(req, s.cfg.Namespace, s.cfg.Settings)
	dry := req.DryRun != nil && *req.DryRun
	if resp.Patch != nil && s.cfg.Prepare != nil && !dry {
		if err := s.cfg.Prepare(r.Context(), req.Namespace); err != nil {
			// The pod waits for it and says so; it must not be the reason why
			// the pod is not made.
			s.cfg.Log.Warn("namespace not prepared; its proxies wait for it", "namespace", req.Namespace, "error", err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Response: resp,
	})
}

// decode reads an AdmissionReview about a pod.
func decode(body []byte) (*admissionv1.AdmissionRequest, error) {
	var in admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	if in.APIVersion != "admission.k8s.io/v1" || in.Request == nil || in.Request.UID == "" {
		return nil, errors.New("the body is no AdmissionReview of admission.k8s.io/v1 with a request")
	}
	return in.Request, nil
}

// review decides about one pod. It looks at nothing else.
func review(req *admissionv1.AdmissionRequest, own string, settings inject.Settings) *admissionv1.AdmissionResponse {
	resp := &admissionv1.AdmissionResponse{UID: req.UID, Allowed: true}
	never := []string{"kube-system", "kube-public", "kube-node-lease", own}
	if req.Kind.Kind != "Pod" || req.Kind.Group != "" || req.Operation != admissionv1.Create || req.SubResource != "" ||
		slices.Contains(never, req.Namespace) {
		return resp
	}
	var pod map[string]any
	if err := json.Unmarshal(req.Object.Raw, &pod); err != nil || pod == nil {
		return refused(resp, errors.New("the request's object is no pod"))
	}
	out, err := inject.Pod(pod, settings)
	if err != nil {
		return refused(resp, err)
	}
	for _, w := range out.Warnings {
		resp.Warnings = append(resp.Warnings, "leno: "+w)
	}
	if out.Skipped != "" {
		resp.Warnings = append(resp.Warnings, "leno: the pod gets no proxy: "+out.Skipped)
		return resp
	}
	ops := inject.Diff(pod, out.Pod)
	if len(ops) == 0 {
		return resp
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		return refused(resp, err)
	}
	kind := admissionv1.PatchTypeJSONPatch
	resp.Patch, resp.PatchType = patch, &kind
	return resp
}

func refused(resp *admissionv1.AdmissionResponse, err error) *admissionv1.AdmissionResponse {
	resp.Allowed = false
	resp.Result = &metav1.Status{Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "leno: " + err.Error()}
	return resp
}
