# The lab's verbs. make alone lists them.
#
#   make up LAB=other PORT=5060 RUNTIME=process    another lab, beside the first
#
# make up is a thin wrapper of ansible-playbook site.yml; group_vars/all.yml describes the lab.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Ansible wants a locale that speaks UTF-8.
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif

# Linters call each other by name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Taken from the command line only: a container's environment has a HOSTNAME and often a PORT.
LAB := $(shell sed -n 's/^lab_name: *//p' group_vars/all.yml)
PORT := $(shell sed -n 's/^lab_port: *//p' group_vars/all.yml)
ADDRESS := $(subst 0.0.0.0,127.0.0.1,$(shell sed -n 's/^lab_bind_address: *//p' group_vars/all.yml))
RUNTIME :=
HOSTNAME := Server2
TOKEN := $(shell sed -n 's/^lab_admin_token: *"*\([^" ]*\).*/\1/p' group_vars/all.yml)
SEEDS := 20
SECONDS := 60
SEED :=
ENGINE :=
FORMAT := table

URL := http://$(ADDRESS):$(PORT)
COURSE = .ringlab/$(LAB)/jupyter-url
# Not what was not asked for, so that lines of the inventory can differ.
given = $(filter command%,$(origin $(1)))
PLAY = .venv/bin/ansible-playbook \
    $(if $(call given,LAB),-e lab_name=$(LAB)) $(if $(call given,PORT),-e lab_port=$(PORT)) \
    $(if $(RUNTIME),-e lab_runtime=$(RUNTIME)) $(if $(call given,TOKEN),-e lab_admin_token=$(TOKEN))
CALL := curl --silent --show-error --header 'Content-Type: application/json' \
    $(if $(TOKEN),--header 'Authorization: Bearer $(TOKEN)')

.PHONY: help
help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10
	@echo
	@echo "Options: LAB=$(LAB) PORT=$(PORT) RUNTIME=auto|docker|process|swarm HOSTNAME=$(HOSTNAME) TOKEN="

##@ The lab

.PHONY: up
up: venv ## stand the lab up: engine, images, services, replicas, and a check that it serves
	@$(PLAY) site.yml
	@echo
	@[ -e .ringlab/$(LAB)/lab.json ] || { echo "make inspect lists the labs"; exit 0; }
	@echo "The lab serves at     $(URL)/home"
	@echo "Its live page is at   $(URL)/dashboard"
	@[ ! -e $(COURSE) ] || echo "The course is at      $$(cat $(COURSE))"
	@echo "Three things to try:"
	@echo "  make crash $(MAKEOVERRIDES)      kill a server, and see it replaced"
	@echo "  make add $(MAKEOVERRIDES)        two more servers; make rm takes them away"
	@echo "  curl -i '$(URL)/route?id=132574'   why this request goes where it goes"

.PHONY: build rebuild
build: venv ## make the images that are not there
	@$(PLAY) playbooks/deploy.yml --tags images

rebuild: venv ## make all images anew, without caches
	@$(PLAY) playbooks/deploy.yml --tags images -e lab_rebuild=true

.PHONY: down destroy
down: venv ## stop the lab; images and state stay
	@$(PLAY) playbooks/down.yml

destroy: venv ## leave no trace of the lab: containers, networks, volumes, images, processes
	@$(PLAY) playbooks/destroy.yml

.PHONY: ps logs inspect
ps: ## show what runs
	@scripts/lab ps $(LAB)

logs: ## show what the services write; on a terminal, go on until Ctrl-C
	@scripts/lab logs $(LAB)

inspect: venv ## show the lab, or list all, and check what may touch what; FORMAT=json: no check
	@RINGLAB_ADMIN_TOKEN=$(TOKEN) .venv/bin/python scripts/inspect_lab.py --format $(FORMAT) \
	    $(if $(call given,LAB)$(call given,PORT),$(URL))
	@[ $(FORMAT) = json ] || $(PLAY) playbooks/inspect.yml

##@ The admin API, as the assignment has it

.PHONY: rep add rm route crash
rep: ## GET /rep: the replicas
	$(CALL) $(URL)/rep

add: ## POST /add: Server4 and Server5
	$(CALL) --request POST --data '{"n": 2, "hostnames": ["Server4", "Server5"]}' $(URL)/add

rm: ## DELETE /rm: Server4 and Server5
	$(CALL) --request DELETE --data '{"n": 2, "hostnames": ["Server4", "Server5"]}' $(URL)/rm

route: ## GET /home: a replica's greeting, and which one it was
	$(CALL) --include $(URL)/home

crash: ## POST /crash: kill HOSTNAME, and watch /rep for three seconds
	$(CALL) --request POST --data '{"hostname": "$(HOSTNAME)"}' $(URL)/crash
	@for _ in 1 2 3 4 5 6; do $(CALL) $(URL)/rep; sleep 0.5; done

##@ The course

.PHONY: notebooks student report
notebooks: ## open JupyterLab in the browser
	@[ -e $(COURSE) ] || { echo "$(LAB) has no JupyterLab yet: make up starts it"; exit 1; }
	@echo "The course is at $$(cat $(COURSE))"
	@.venv/bin/python -m webbrowser "$$(cat $(COURSE))" > /dev/null || true

student: venv ## derive the learners' copies, without solutions, in dist/student
	@.venv/bin/python scripts/course.py student dist/student

report: venv ## write one page of all notebooks as they were executed, dist/course.html
	@.venv/bin/python scripts/course.py report dist/course.html

##@ The project

.PHONY: venv test chaos lint bench lock
venv: .venv/.bootstrapped ## make or renew the virtual environment

.venv/.bootstrapped: pyproject.toml constraints.txt scripts/bootstrap
	@scripts/bootstrap

test: lint ## run everything: linters, types, unit tests, a lab of the tests' own
	@scripts/test

chaos: venv ## random faults on labs of its own, under load: SEEDS=20 SECONDS=60, SEED=7 for one
	@.venv/bin/python scripts/chaos.py --seconds $(SECONDS) --seeds $(SEEDS) \
	    $(if $(SEED),--seed $(SEED)) $(if $(RUNTIME),--runtime $(RUNTIME)) \
	    $(if $(ENGINE),--engine)

lint: venv ## what takes seconds: ruff, mypy, ansible-lint
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/ansible-lint --offline

bench: venv ## measure the data plane beside nginx, HAProxy, a student's; the ring beside uhashring
	@.venv/bin/python -m benchmarks data_plane
	@.venv/bin/python -m benchmarks ring

# One version of each for all Pythons: pip reads markers as for itself, also when it downloads for
# an image's Python.
lock: venv ## pin the newest versions in constraints.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	    --group dev --no-header --no-annotate --no-emit-index-url --upgrade \
	    --output-file constraints.txt
