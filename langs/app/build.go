package app

import (
	"fmt"
	"maps"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// SSHAgent is where a forwarded SSH agent is in steps that have one. It is not below
// the folder of the steps program, which is read-only.
const SSHAgent = "/run/birdhouse-ssh-agent"

// Pairs are the variables of a mapping, sorted by name.
func Pairs(m spec.StringMap) []plan.Env {
	var list []plan.Env
	for _, k := range m.Keys() {
		list = append(list, plan.Env{Name: k, Value: m[k]})
	}
	return list
}

// AppendEnv adds variables that env does not have, sorted by name.
func AppendEnv(env []plan.Env, more map[string]string) []plan.Env {
	more = maps.Clone(more)
	for _, e := range env {
		delete(more, e.Name)
	}
	return append(env, Pairs(more)...)
}

// BuildEnv are the descriptor's own variables of the build: build arguments, and
// build.env, which counts where both have one.
func BuildEnv(s *spec.Spec) map[string]string {
	env := map[string]string{}
	maps.Copy(env, s.Args)
	maps.Copy(env, s.Build.Env)
	return env
}

// Reserved are the problems of variables that build.env and args set, and that a
// language's plan decides. Names has these, each with what to write instead, which
// may be nothing.
func Reserved(s *spec.Spec, names map[string]string) spec.Problems {
	var problems spec.Problems
	refuse := func(key string, given []string) {
		for _, name := range given {
			if hint, reserved := names[name]; reserved {
				problems = append(problems, s.Problem(key+"."+name, fmt.Sprintf("%s: %s is set by the build itself", key, name), hint))
			}
		}
	}
	refuse("build.env", s.Build.Env.Keys())
	refuse("args", s.Args.Keys())
	return problems
}

// Libraries is the stage that checks that the run image has the shared libraries of
// the programs in what, a mount at any place. Base is where the check runs; asked
// and hint are those of its step.
func Libraries(base plan.Base, what plan.Mount, asked, hint string) plan.Stage {
	const root = "/run-root"
	return plan.Stage{
		Name: "libraries",
		Base: base,
		Steps: []plan.Step{{
			Name:   "check shared libraries",
			Args:   []string{plan.StepsProgram, "libcheck", "--root", root, what.Target},
			Dir:    "/",
			Mounts: []plan.Mount{{Kind: plan.MountRun, Target: root}, what, {Kind: plan.MountOutput, Target: "/result"}},
			Asked:  asked,
			Hint:   hint,
		}},
		PerPlatform: true,
		Gate:        true,
	}
}

// SecretMounts are the descriptor's secrets as mounts of a step: a variable, or a file,
// in /run/secrets unless told otherwise. Special are those left out, which the
// language mounts where its tools look for them; may be nil.
func SecretMounts(s *spec.Spec, special func(spec.Secret) bool) []plan.Mount {
	var mounts []plan.Mount
	for _, one := range s.Secrets {
		if special != nil && special(one) {
			continue
		}
		m := plan.Mount{Kind: plan.MountSecret, Target: one.Target, SecretID: one.ID, Optional: one.Optional}
		switch {
		case one.Env != "":
			m.Kind, m.Target = plan.MountSecretEnv, one.Env
		case one.Target == "":
			m.Target = "/run/secrets/" + one.ID
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// BareSecret says whether a secret has an id alone, so that the language decides where
// it is mounted: `secrets: [netrc]`.
func BareSecret(s spec.Secret, id string) bool { return s.ID == id && s.Env == "" && s.Target == "" }

// SSHEnv has git and ssh use the agent of SSHMounts; none without it.
func SSHEnv(s *spec.Spec) []plan.Env {
	if s.SSH == "" {
		return nil
	}
	return []plan.Env{
		{Name: "GIT_SSH_COMMAND", Value: "ssh -o BatchMode=yes -o ControlMaster=no -o StrictHostKeyChecking=accept-new"},
		{Name: "SSH_AUTH_SOCK", Value: SSHAgent},
	}
}

// SSHMounts is the agent that `ssh` asks for, none without it.
func SSHMounts(s *spec.Spec) []plan.Mount {
	if s.SSH == "" {
		return nil
	}
	return []plan.Mount{{Kind: plan.MountSSH, Target: SSHAgent, SecretID: string(s.SSH)}}
}
